package sync_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/clerksync/clerksync/internal/torture"
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
	begun, first, size := time.Now(), torture.Seed(t), uint64(torture.Size(t, histories, 100_000_000))
	hidden, unwritten := 0, 0
	var mu sync.Mutex
	var group errgroup.Group
	for w := range uint64(workers) {
		group.Go(func() error {
			trial, seed := seeded(rule{})
			for i := w; i < size; i += workers {
				seed(first + i)
				if v := trial.run(); v != nil {
					t.Errorf("go test ./sync -run TestHistories -history %d\n%v\n%s", first+i, v, &trial.h)
					return v
				}
			}
			if trial.hidden == 0 || trial.unwritten == 0 {
				t.Errorf("%d transient hidings and %d lazy writes: the histories are too tame", trial.hidden, trial.unwritten)
			}
			mu.Lock()
			defer mu.Unlock()
			hidden, unwritten = hidden+trial.hidden, unwritten+trial.unwritten
			return nil
		})
	}
	_ = group.Wait() // told already
	torture.Record(t, begun, torture.Run{
		What: "Checks the merge rule on histories of one object: in any order, with any repetition, with reads that lag and clocks that lie, also across restorations and roll-backs of Clerk's.",
		Size: fmt.Sprint(size, " histories"),
		Seed: first,
		Figures: []torture.Figure{
			{Name: "violations of P1 to P5, P7 and P13", Value: "0", Bound: "0"},
			{Name: "living objects hidden by a read across a restoration or roll-back, and shown again by the next", Value: fmt.Sprint(hidden)},
			{Name: "reads that needed no write", Value: fmt.Sprint(unwritten)},
		},
	})
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
