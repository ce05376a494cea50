package main

import (
	"os"
	"runtime"
)

// reserve is how much memory the daemon asks for and never touches, so that it costs none. The garbage collector counts it to the
// heap, and lets as much garbage gather as that has bytes: a daemon's own heap is a few MiB, and to collect whenever it has doubled
// takes a sixth of the time that its events take.
const reserve = 32 << 20

// spare is how many threads may run Go code beyond one a processor. Go looks for what has come over sockets when it has nothing else
// to do: after each commit, a hundred deliveries would go first before anybody saw that PostgreSQL has answered the next one's batch.
const spare = 2

// tune fits Go's runtime to a daemon under load, unless the operator does that. The caller must keep what it returns.
func tune() []byte {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spare)
	}
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, reserve)
}
