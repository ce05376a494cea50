package sync_test

import (
	"fmt"

	clerksync "github.com/clerksync/clerksync/sync"
)

// trial checks one history against the properties of the merge rule. It keeps its memory for the next one.
type trial struct {
	rule      rule
	pick      chance
	h         history
	mixed     []clue
	hidden    int // how often a read hid a living object, across a restoration or a roll-back
	unwritten int // how many reads needed no write
}

// violation names a property, and says what broke it.
type violation struct{ property, what string }

func (v *violation) Error() string { return v.property + ": " + v.what }

func violated(property, format string, args ...any) *violation {
	return &violation{property, fmt.Sprintf(format, args...)}
}

// run makes up a history and checks it.
func (t *trial) run() *violation {
	t.h.invent(t.pick)
	full := clerksync.Unknown
	for i, c := range t.h.clues {
		next := t.rule.merge(full, c, i)
		if v := t.step(full, next, t.h.clues[:i], t.h.clues[i:i+1]); v != nil {
			return v
		}
		full = next
	}
	if v := t.agrees(full); v != nil {
		return v
	}
	if v := t.permute(full); v != nil {
		return v
	}
	written, v := t.write(full)
	if v != nil {
		return v
	}
	for _, s := range []clerksync.State{full, written} {
		if v := t.heals(s); v != nil {
			return v
		}
	}
	return nil
}

// step checks what must hold whenever clues come after others: P2, P3, P4 and P7.
func (t *trial) step(before, after clerksync.State, earlier, clues []clue) *violation {
	if t.rule.compare(after.Key, before.Key) < 0 || after.Dead < before.Dead {
		return violated("P2", "the key or dead decreased from %s to %s", show(before), show(after))
	}
	visible := t.rule.visible(after)
	if visible && !shows(after) {
		return violated("P7", "visible without the payload of its key: %s", show(after))
	}
	if visible && !t.h.restores && !t.h.violated && (deletionTold(earlier) || deletionTold(clues)) {
		return violated("P3", "visible after a true deletion: %s", show(after))
	}
	if visible || !t.rule.visible(before) || t.h.violated {
		return nil
	}
	for i, c := range clues {
		if c.exists || c.event || !t.h.exists(c.arrived) || deletionTold(clues) {
			continue
		}
		if _, dead := t.rule.says(c, i); dead < after.Dead {
			continue // another one of the fold hid it
		}
		if !t.h.restores || !t.h.rollsBack && c.viewed < t.h.fresh && before.Key.Updated >= t.h.fresh {
			return violated("P4", "a 404 that saw Clerk at %d hid a living object: %s", c.viewed-past, show(after))
		}
		t.hidden++
	}
	return nil
}

// exists reports whether Clerk has the object at an instant and for ever after.
func (h *history) exists(at int64) bool { return h.seen(at).exists && h.last().exists }

func deletionTold(clues []clue) bool {
	for _, c := range clues {
		if c.event && !c.exists {
			return true
		}
	}
	return false
}

// agrees compares a state with the oracle: the greatest of all keys, and of all deaths.
func (t *trial) agrees(s clerksync.State) *violation {
	if t.rule != (rule{}) {
		return nil // a broken rule must be caught by what it does to users
	}
	key, dead := clerksync.Bottom, clerksync.Never
	for i, c := range t.h.clues {
		k, d := t.rule.says(c, i)
		if newer(k, key) {
			key = k
		}
		dead = max(dead, d)
	}
	if s.Key != key || s.Dead != dead || s.Visible() != (key.Alive > dead) {
		return violated("oracle", "%s, want %s", show(s), show(clerksync.State{Key: key, Dead: dead}))
	}
	return nil
}

// permute is P1: any order of the same evidence, some of it twice, ends in the same state. What must hold at every step holds in
// any order, too.
func (t *trial) permute(want clerksync.State) *violation {
	t.mixed = append(t.mixed[:0], t.h.clues...)
	for _, c := range t.h.clues {
		if t.pick(3) == 0 {
			t.mixed = append(t.mixed, c)
		}
	}
	for i := len(t.mixed) - 1; i > 0; i-- {
		j := t.pick(i + 1)
		t.mixed[i], t.mixed[j] = t.mixed[j], t.mixed[i]
	}
	s := clerksync.Unknown
	for i, c := range t.mixed {
		next := t.rule.merge(s, c, i)
		if v := t.step(s, next, t.mixed[:i], t.mixed[i:i+1]); v != nil {
			return v
		}
		s = next
	}
	if s.Key != want.Key || s.Dead != want.Dead || t.rule.visible(s) != t.rule.visible(want) {
		return violated("P1", "%s in one order, %s in another", show(want), show(s))
	}
	if t.rule.visible(s) && !shows(s) {
		return violated("P1", "visible without the payload of its key: %s", show(s))
	}
	return nil
}

// write merges as transactions do: several clues at once are folded first, and reads that show nothing new are not written. That
// is as if they had been lost.
func (t *trial) write(full clerksync.State) (clerksync.State, *violation) {
	if t.rule != (rule{}) {
		return full, nil
	}
	s := clerksync.Unknown
	for i := 0; i < len(t.h.clues); {
		n := min(1+t.pick(4), len(t.h.clues)-i)
		fold := clerksync.Unknown
		for j, c := range t.h.clues[i : i+n] {
			if t.rule.lazy(s, c) {
				t.unwritten++
			} else {
				fold = t.rule.merge(fold, c, i+j)
			}
		}
		next := s.Gone(fold.Dead)
		if fold.Visible() {
			next = next.Live(fold.Key, fold.Payload)
		} else {
			next = next.Live(fold.Key, nil)
		}
		if v := t.step(s, next, t.h.clues[:i], t.h.clues[i:i+n]); v != nil {
			v.property += ", folded"
			return s, v
		}
		s, i = next, i+n
	}
	if newer(s.Key, full.Key) || s.Dead != full.Dead {
		return s, violated("P13", "%s with lazy writes, %s without", show(s), show(full))
	}
	return s, nil
}

// heals is P5: one honest read, long enough after all is quiet, makes the mirror equal to Clerk. It also ends whatever a
// restoration or a roll-back hid.
func (t *trial) heals(s clerksync.State) *violation {
	if t.h.violated {
		return nil
	}
	// An event's timestamp in seconds is taken as the end of its second, so the quiet begins up to a second later.
	c := t.h.truth(t.h.quiet + readMargin + sigma + kappa + second)
	if !t.rule.lazy(s, c) {
		s = t.rule.merge(s, c, len(t.h.clues))
	}
	if t.rule.visible(s) != c.exists {
		return violated("P5", "visible %t, but Clerk says %t: %s", !c.exists, c.exists, show(s))
	}
	if c.exists && string(s.Payload) != string(c.payload()) {
		return violated("P5", "the payload is not Clerk's, %s: %s", c.version, show(s))
	}
	return nil
}
