//go:build race

package sync_test

// See scale_test.go.
const (
	differentialPieces = 1_500
	togetherRounds     = 8
	histories          = 40_000
)
