package main_test

import (
	"runtime"
	"testing"

	main "github.com/clerksync/clerksync/cmd/clerksync"
)

// TestTune leaves alone what the operator says about Go's runtime.
func TestTune(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Setenv("GOMAXPROCS", "1")
	for _, said := range []string{"", "GOGC", "GOMEMLIMIT"} {
		t.Run("said "+said, func(t *testing.T) {
			t.Setenv("GOGC", "")
			t.Setenv("GOMEMLIMIT", "")
			if said != "" {
				t.Setenv(said, "100")
			}
			if reserve := main.Tune(); (reserve == nil) != (said != "") {
				t.Errorf("%d bytes are kept in reserve", len(reserve))
			}
		})
	}
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("GOMAXPROCS is %d now and was %d", got, before)
	}
}
