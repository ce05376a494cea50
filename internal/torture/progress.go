package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Progress is how far the long form of a suite has come that takes hours. It is kept in the folder that TORTURE_FIGURES names until the
// suite is over, so that one which was stopped goes on where it was, under the same seed, if TORTURE_RESUME is true.
type Progress struct {
	Seed    uint64           `json:"seed"`
	Done    int              `json:"done"`    // how many of its parts
	Sums    map[string]int64 `json:"sums"`    // what was counted in them, by name
	Seconds float64          `json:"seconds"` // that they took

	file    string // empty where nothing is kept
	resumed time.Time
}

// Resume returns how far a suite has come: nowhere, unless it was stopped and goes on.
func Resume(t testing.TB) *Progress {
	t.Helper()
	p := &Progress{Sums: map[string]int64{}, resumed: time.Now()}
	if folder := os.Getenv("TORTURE_FIGURES"); folder != "" && Long {
		p.file = filepath.Join(folder, fileName(t.Name(), ".progress"))
	}
	if err := p.read(); err != nil {
		t.Fatal(err)
	}
	if p.Done > 0 {
		Reproduce(t, p.Seed)
	} else {
		p.Seed = Seed(t)
	}
	t.Cleanup(func() {
		if !t.Failed() && p.file != "" {
			os.Remove(p.file) // it may not be there
		}
	})
	return p
}

func (p *Progress) read() error {
	if again, _ := strconv.ParseBool(os.Getenv("TORTURE_RESUME")); !again || p.file == "" {
		return nil
	}
	text, err := os.ReadFile(p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, p)
	}
	if err != nil {
		return fmt.Errorf("reading how far the suite has come: %w", err)
	}
	p.resumed = p.resumed.Add(-time.Duration(p.Seconds * float64(time.Second)))
	return nil
}

// Begun returns when the suite would have begun if it had never been stopped.
func (p *Progress) Begun() time.Time { return p.resumed }

// Add keeps that some parts more are done, and what was counted in them.
func (p *Progress) Add(t testing.TB, parts int, sums map[string]int64) {
	t.Helper()
	for name, n := range sums {
		p.Sums[name] += n
	}
	p.Done += parts
	p.Seconds = time.Since(p.resumed).Seconds()
	if p.file == "" || t.Failed() {
		return
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(p.file, text, 0o644)
	}
	if err != nil {
		t.Fatal("keeping how far the suite has come: ", err)
	}
}
