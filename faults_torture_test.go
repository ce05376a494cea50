//go:build torture

package clerksync_test

// In make torture each call fails in every way, and there are objects of every kind.
const (
	everyWay  = true
	crowdSize = 4000
)

var faultyKinds = everyKind
