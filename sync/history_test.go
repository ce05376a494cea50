package sync_test

import (
	"flag"
	"math/rand/v2"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

var oneHistory = flag.Uint64("history", 0, "check only the history of this seed, which a failure names")

// seeded returns a trial and how to set its seed.
func seeded(r rule) (t *trial, seed func(uint64)) {
	source := rand.NewPCG(0, 0)
	random := rand.New(source)
	return &trial{rule: r, pick: random.IntN}, func(n uint64) { source.Seed(n, 6) }
}

// TestHistories checks P1 to P5, P7 and P13 of the merge rule on histories by the million.
func TestHistories(t *testing.T) {
	t.Parallel()
	if *oneHistory != 0 {
		trial, seed := seeded(rule{})
		seed(*oneHistory)
		if v := trial.run(); v != nil {
			t.Fatalf("%v\n%s", v, &trial.h)
		}
		t.Logf("it holds\n%s", &trial.h)
		return
	}
	const workers = 2
	first := rand.Uint64() >> 1
	var group errgroup.Group
	for w := range uint64(workers) {
		group.Go(func() error {
			trial, seed := seeded(rule{})
			for i := w; i < histories; i += workers {
				seed(first + i)
				if v := trial.run(); v != nil {
					t.Errorf("go test ./sync -run TestHistories -history %d\n%v\n%s", first+i, v, &trial.h)
					return v
				}
			}
			if trial.hidden == 0 || trial.unwritten == 0 {
				t.Errorf("%d transient hidings and %d lazy writes: the histories are too tame", trial.hidden, trial.unwritten)
			}
			return nil
		})
	}
	_ = group.Wait() // told already
}

// TestSmallHistories looks for the smallest history that breaks a property.
func TestSmallHistories(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		trial := &trial{pick: func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }}
		if v := trial.run(); v != nil {
			rt.Fatalf("%v\n%s", v, &trial.h)
		}
	})
}

// TestMutants breaks the rule in one way at a time. The properties must notice each.
func TestMutants(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		rule rule
	}{
		{"live wins ties", rule{liveWinsTies: true}},
		{"no read margin", rule{noMargin: true}},
		{"no hash tie-break", rule{noHash: true}},
		{"order by updated_at only", rule{updatedOnly: true}},
		{"delete removes the row", rule{removes: true}},
		{"absorbing tombstone", rule{absorbs: true}},
		{"delete stamped without κ", rule{noLead: true}},
		{"arrival time as version", rule{byArrival: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			trial, seed := seeded(test.rule)
			for n := range uint64(200_000) {
				seed(n)
				if v := trial.run(); v != nil {
					t.Logf("caught by history %d: %v", n, v)
					return
				}
			}
			t.Error("no property noticed")
		})
	}
}
