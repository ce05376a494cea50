// Package torture is what the suites share that make clerksync suffer: how long they run, the seed that makes a failure come again, and
// the figures that they leave for docs/reliability.md. Tests and the commands of make torture import it.
//
// Each suite has a short form, which is part of make test, and a long one behind the build tag torture. Environment variables rule both:
//
//	TORTURE_SIZE     how much of the long form is run: 1 is all of it, 0.01 a hundredth. The short form has one size.
//	TORTURE_SEED     the first seed; a failure names it. Without it, it is drawn.
//	TORTURE_FIGURES  the folder in which each suite keeps the figures of its last run.
//	TORTURE_RESUME   true lets a suite that takes hours go on where it was stopped.
package torture

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Long tells the long form from the short one. Bounds on time are held in the long form alone: make test may run beside anything.
const Long = long

// Step returns how far apart things are that are tried one after the other, where there are too many: all are tried in the long form and,
// without the race detector, in the short one. With it everything takes several times as long, and every eighth will do.
func Step() int {
	if race && !Long {
		return 8
	}
	return 1
}

// Size returns how often something is done: so often in the short form, and so often in the long one, of which TORTURE_SIZE says how
// much is run, but at least once.
func Size(t testing.TB, inShort, inLong int) int {
	t.Helper()
	if !Long {
		return inShort
	}
	return max(1, int(math.Round(float64(inLong)*share(t))))
}

// Span is like [Size] for something that takes its time.
func Span(t testing.TB, inShort, inLong time.Duration) time.Duration {
	t.Helper()
	if !Long {
		return inShort
	}
	return time.Duration(float64(inLong) * share(t))
}

func share(t testing.TB) float64 {
	t.Helper()
	share, err := Share()
	if err != nil {
		t.Fatal(err)
	}
	return share
}

// Share returns how much of the long forms is run: TORTURE_SIZE, or 1 without it.
func Share() (float64, error) {
	text := os.Getenv("TORTURE_SIZE")
	if text == "" {
		return 1, nil
	}
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || share <= 0 {
		return 0, fmt.Errorf("TORTURE_SIZE=%s is no positive number", text)
	}
	return share, nil
}

// Seed returns the seed of a test. If the test fails, it tells how to make that happen again.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := rand.Uint64() >> 32
	if text := os.Getenv("TORTURE_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("TORTURE_SEED=%s is no number", text)
		}
	}
	Reproduce(t, seed)
	return seed
}

// Reproduce has a test that fails tell the seed that makes the failure happen again.
func Reproduce(t testing.TB, seed uint64) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to see this again: TORTURE_SEED=%d", seed)
		}
	})
}
