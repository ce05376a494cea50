//go:build race

package sync_test

// See scale_test.go.
const (
	differentialPieces = 1_500
	togetherRounds     = 8
	interpreted        = 500 // histories whose evidence is decoded
	histories          = 40_000
)
