package sync_test

import (
	"testing"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// chance picks a number from 0 to n-1. Both a seeded source and rapid can be one.
type chance func(n int) int

// jumble makes evidence that says anything, true or not, from so few values that ties and collisions abound.
type jumble struct {
	pick chance
	ids  []string
}

func (j jumble) instant() int64 {
	steps := [...]int64{0, 1, 4999, 5000, 5001, 60_000, 119_999, 120_000, 120_001, 125_000, 240_000}
	return past + steps[j.pick(len(steps))] + steps[j.pick(len(steps))]
}

func (j jumble) user() user {
	return user{
		ID: j.ids[j.pick(len(j.ids))], Updated: j.instant(), Created: past - 1000,
		Active: int64(j.pick(2)), Name: string(rune('a' + j.pick(3))),
	}
}

func (j jumble) evidence() clerksync.Evidence {
	u, at := j.user(), j.instant()
	switch j.pick(10) {
	case 0:
		return toldGone(u.ID, at)
	case 1:
		return readGone(u.ID, at)
	case 2, 3, 4:
		return read(u, at)
	case 5:
		return by(clerksync.Login, read(u, at))
	default:
		return told(u, at)
	}
}

// model is the mirror without a database: the pure merge rule, piece by piece, with the lazy write.
type model struct {
	states   map[string]clerksync.State
	versions map[string]int64
}

func newModel() *model {
	return &model{states: map[string]clerksync.State{}, versions: map[string]int64{}}
}

func (m *model) state(id string) clerksync.State {
	if s, ok := m.states[id]; ok {
		return s
	}
	return clerksync.Unknown
}

// lazy reports whether a read need not be written: it shows what the row holds already, of an object never known to be gone.
func (m *model) lazy(e clerksync.Evidence) bool {
	s := m.state(e.ID)
	return e.Source != clerksync.Webhook && e.Source != clerksync.Login && e.Object != nil &&
		s.Visible() && s.Dead == clerksync.Never && string(s.Payload) == string(e.Object)
}

// merge merges one piece, whatever it says.
func (m *model) merge(e clerksync.Evidence) {
	meaning := clerksync.Interpret(clerksync.Config{}, e, time.Now())
	s := m.state(e.ID)
	if e.Object == nil {
		m.states[e.ID] = s.Gone(meaning.Dead)
	} else {
		m.states[e.ID] = s.Live(meaning.Key, e.Object)
	}
}

// commit merges what one transaction carries, and counts the visible changes.
func (m *model) commit(batch []clerksync.Evidence) {
	before := map[string]clerksync.State{}
	var written []clerksync.Evidence
	for _, e := range batch {
		before[e.ID] = m.state(e.ID)
		if !m.lazy(e) {
			written = append(written, e)
		}
	}
	for _, e := range written {
		m.merge(e)
	}
	for id, was := range before {
		if is := m.state(id); is.Visible() != was.Visible() || is.Visible() && is.Key.Hash != was.Key.Hash {
			m.versions[id]++
		}
	}
}

// TestLiveTie leaves a payload alone that the same key came with before: it is no newer, and the statement writes nothing either.
func TestLiveTie(t *testing.T) {
	t.Parallel()
	key := clerksync.Key{Alive: 2, Updated: 1, Seen: 3, Hash: "h"}
	first := clerksync.Unknown.Live(key, []byte("first"))
	if got := first.Live(key, []byte("second")); string(got.Payload) != "first" || got.Key != key {
		t.Errorf("the payload is %s, want the first", got.Payload)
	}
	if got := first.Gone(2).Live(key, []byte("second")); got.Visible() {
		t.Error("visible, although alive is no later than dead")
	}
}
