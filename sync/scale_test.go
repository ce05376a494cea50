//go:build !race

package sync_test

// How much the long tests do. The race detector makes everything several times slower, so it gets less.
const (
	differentialPieces = 20_000 // for each database
	togetherRounds     = 60
	interpreted        = 5_000 // histories whose evidence is decoded
	histories          = 2_000_000
)
