package torture

import (
	"encoding/json"
	"os"
	"path/filepath"
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
	Failed  bool     `json:"failed"`
}

// Figure is one thing that was measured or counted.
type Figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Bound string `json:"bound,omitempty"` // what it is held to; empty where it is told only
}

// Record appends what the long form of a suite found to the folder that TORTURE_FIGURES names, once the test is over. The fields that it
// can tell itself are filled in.
func Record(t testing.TB, begun time.Time, run Run) {
	t.Helper()
	folder := os.Getenv("TORTURE_FIGURES")
	if folder == "" || !Long {
		return
	}
	run.Suite = t.Name()
	run.Seconds = time.Since(begun).Seconds()
	t.Cleanup(func() {
		run.At, run.Failed = time.Now().UTC().Format(time.RFC3339), t.Failed()
		if err := appendLine(filepath.Join(folder, strings.ReplaceAll(run.Suite, "/", "-")+".jsonl"), run); err != nil {
			t.Error("recording figures: ", err)
		}
	})
}

func appendLine(path string, run Run) error {
	line, err := json.Marshal(run)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(append(line, '\n'))
	return err
}
