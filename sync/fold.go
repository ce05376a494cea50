package sync

import (
	"slices"
	"strings"
	"time"
)

// piece is one piece of evidence on its way through a commit.
type piece struct {
	*Evidence
	kind   *kind    // nil where the evidence speaks of nothing that is mirrored
	object *object  // nil where the object is gone
	key    mergeKey // bottom where the object is gone
	dead   int64    // Never where the object is alive
	cells  [][]byte // what its object brings to its row; nil where that is not worked out yet
	same   bool     // the row holds these very bytes already
	fresh  bool     // a read of what had no row
	named  string   // of a read: the person whom the row is about, whom the read need not tell
	due    time.Time
	held   bool // the event waits for approval, for the first time
	result Result
	final  bool // the result is known, and nothing is left to merge
	done   bool // what it tells is committed

	passing bool // a read that a hook refuses: the next one tells it anew, so its content is not kept
}

// settle gives a piece its result without merging it.
func (p *piece) settle(r Result) { p.result, p.final = r, true }

// quiet reports whether a piece has nothing to write: not even a row of its event.
func (p *piece) quiet() bool {
	return p.done || p.final && (p.result.Foreign || p.Event == nil && p.result.Outcome != Quarantined)
}

// when is the instant at which what a piece tells happened, in Unix milliseconds: now, unless it tells one that clocks and calendars have.
func (p *piece) when() int64 {
	now := time.Now()
	if p.At <= 0 || p.At > now.Add(ClockError).UnixMilli() {
		return now.UnixMilli()
	}
	return p.At
}

// fold is all the evidence that one transaction has about one object, merged.
type fold struct {
	id     string
	state  mergeState
	pieces []*piece
	live   *piece // the piece whose key the state has
	killer *piece // the piece whose dead the state has
	bare   bool   // it belongs to an erased object, so its payload is not kept
}

// foldPieces merges pieces of one kind per object and orders the objects by id, byte by byte.
func foldPieces(pieces []*piece) []*fold {
	byID := make(map[string]*fold, len(pieces))
	folds := make([]*fold, 0, len(pieces))
	for _, p := range pieces {
		f := byID[p.ID]
		if f == nil {
			f = &fold{id: p.ID, state: unknown}
			byID[p.ID] = f
			folds = append(folds, f)
		}
		f.add(p)
	}
	slices.SortFunc(folds, func(a, b *fold) int { return strings.Compare(a.id, b.id) })
	return folds
}

func (f *fold) add(p *piece) {
	f.pieces = append(f.pieces, p)
	before := f.state
	if p.object != nil {
		f.state = f.state.Live(p.key, nil)
	} else {
		f.state = f.state.Gone(p.dead)
	}
	if f.state.Key != before.Key {
		f.live = p
	}
	if f.state.Dead != before.Dead {
		f.killer = p
	}
}

// standing is a row's merge state after a commit's statement.
type standing struct {
	key        mergeKey
	dead       int64
	digest     int64
	moved      bool // the statement wrote the row; the rest is meaningful only then
	wasVisible bool
	version    int64
	changed    bool
}

func (s standing) visible() bool { return s.key.Alive > s.dead }

// told reports whether the statement's effect is one that the feed tells: a first tombstone is not.
func (s standing) told() bool { return s.moved && s.changed && (s.visible() || s.wasVisible) }

// transition is what the statement did to the row as a whole.
func (s standing) transition() Outcome {
	switch {
	case s.visible() && !s.wasVisible && s.version == 1:
		return Created
	case s.visible() && !s.wasVisible:
		return Revived
	case s.visible() && s.changed:
		return Updated
	case s.visible():
		return Refreshed
	case s.wasVisible, s.changed:
		return Deleted
	default:
		return Unchanged
	}
}

// judge tells each piece what became of it. The piece whose key or dead ends in the row gets the row's transition.
func (f *fold) judge(s standing) {
	if f.bare { // its row holds nobody's hash
		s.key.Hash = f.state.Key.Hash
	}
	for _, p := range f.pieces {
		if p.object != nil {
			p.result.Outcome = f.judgeLive(p, s)
		} else {
			p.result.Outcome = f.judgeGone(p, s)
		}
		p.result.Conflict = p.conflicts(s)
	}
}

func (f *fold) judgeLive(p *piece, s standing) Outcome {
	switch {
	case s.moved && p == f.live && p.key == s.key && s.visible():
		if t := s.transition(); t != Refreshed || !p.same {
			return t
		}
		return Unchanged
	case p.key.Hash == s.key.Hash && !(p == f.live && s.moved && p.key == s.key):
		return Unchanged
	}
	return Stale
}

func (f *fold) judgeGone(p *piece, s standing) Outcome {
	switch {
	case s.visible():
		return Stale
	case s.moved && p == f.killer && p.dead == s.dead:
		return s.transition()
	}
	return Unchanged
}

func (p *piece) conflicts(s standing) bool {
	if p.Source != Webhook {
		return false
	}
	if p.object == nil {
		return s.visible()
	}
	return !s.visible() || p.key.Updated == s.key.Updated && p.key.Hash != s.key.Hash
}
