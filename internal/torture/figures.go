package torture

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Run is what one run of a suite found.
type Run struct {
	Suite   string   `json:"suite"`          // the test's name
	What    string   `json:"what"`           // what it does, in a sentence
	Size    string   `json:"size"`           // how much of it was done
	Seed    uint64   `json:"seed,omitempty"` // 0 where nothing was drawn
	Figures []Figure `json:"figures"`
	Seconds float64  `json:"seconds"` // that it took
	At      string   `json:"at"`      // its end, RFC 3339
	Machine string   `json:"machine"` // that it ran on
	Failed  bool     `json:"failed"`
}

// Figure is one thing that was measured or counted.
type Figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Bound string `json:"bound,omitempty"` // what it is held to; empty where it is told only
}

// Record keeps what the long form of a suite found in the folder that TORTURE_FIGURES names, once the test is over. The fields that it
// can tell itself are filled in.
func Record(t testing.TB, begun time.Time, run Run) {
	t.Helper()
	folder := os.Getenv("TORTURE_FIGURES")
	if folder == "" || !Long {
		return
	}
	run.Suite = t.Name()
	t.Cleanup(func() { // subtests are over only then
		run.Seconds, run.Failed = time.Since(begun).Seconds(), t.Failed()
		if err := Keep(folder, run); err != nil {
			t.Error("recording figures: ", err)
		}
	})
}

// Keep writes what a run that ends now found into its suite's file in a folder, where it takes the place of the run before.
func Keep(folder string, run Run) error {
	run.At = time.Now().UTC().Format(time.RFC3339)
	run.Machine = fmt.Sprintf("%d processors, %s", runtime.NumCPU(), runtime.Version())
	text, err := json.MarshalIndent(run, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, fileName(run.Suite, ".json")), append(text, '\n'), 0o644)
}

func fileName(suite, ending string) string {
	return strings.NewReplacer("/", "-", " ", "-").Replace(suite) + ending
}
