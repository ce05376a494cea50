package sync_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	clerksync "github.com/clerksync/clerksync/sync"
)

// evidence is the clue as a feeder hands it to Apply.
func (c clue) evidence() clerksync.Evidence {
	u := user{ID: "user_1", Updated: c.updated, Created: past, Name: fmt.Sprint(c.content), Active: int64(c.look)}
	switch {
	case c.event && c.exists:
		return told(u, c.at)
	case c.event:
		return toldGone(u.ID, c.at)
	case c.exists:
		return clerksync.Witness(read(u, c.at), readMargin*time.Millisecond, c.skewed)
	default:
		return readGone(u.ID, c.at)
	}
}

// TestEvidenceSays ties the histories to the package: what Apply reads out of evidence, and how it folds it, is what the rule of
// the histories says.
func TestEvidenceSays(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 8))
	var h history
	hashes := map[int]string{} // by content
	for range interpreted {
		h.invent(random.IntN)
		meanings := make([]clerksync.Meaning, 0, len(h.clues))
		for i, c := range h.clues {
			m := clerksync.Interpret(clerksync.Config{}, c.evidence(), time.UnixMilli(c.received))
			if m.Settled || m.ID != "user_1" {
				t.Fatalf("seed %d: %s is settled as %+v", seed, c, m)
			}
			if c.exists {
				if other, ok := hashes[c.content]; ok && other != m.Key.Hash {
					t.Fatalf("seed %d: content %d has two hashes", seed, c.content)
				}
				hashes[c.content] = m.Key.Hash
				m.Key.Hash = contents[c.content]
			}
			key, dead := rule{}.says(c, i)
			if m.Key != key || m.Dead != dead {
				t.Fatalf("seed %d: %s says %s, want %s", seed, c,
					show(clerksync.State{Key: m.Key, Dead: m.Dead}), show(clerksync.State{Key: key, Dead: dead}))
			}
			meanings = append(meanings, m)
		}
		checkFold(t, meanings)
	}
	for content, hash := range hashes {
		for other, same := range hashes {
			if content != other && hash == same {
				t.Errorf("contents %d and %d hash alike", content, other)
			}
		}
	}
}

// checkFold folds what one transaction could carry, and merges it one by one.
func checkFold(t *testing.T, meanings []clerksync.Meaning) {
	t.Helper()
	if len(meanings) == 0 {
		return
	}
	want := clerksync.Unknown
	for _, m := range meanings {
		want = want.Live(m.Key, nil).Gone(m.Dead)
	}
	key, dead := clerksync.Fold(meanings)
	if diff := cmp.Diff(want, clerksync.State{Key: key, Dead: dead}); diff != "" {
		t.Fatalf("folded (-want +got)\n%s", diff)
	}
}
