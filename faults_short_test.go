//go:build !torture

package clerksync_test

import clerksync "github.com/clerksync/clerksync/sync"

// In make test each call fails in one of the ways, and there are only users.
const (
	everyWay  = false
	crowdSize = 300
)

var faultyKinds = []clerksync.Kind{clerksync.Users}
