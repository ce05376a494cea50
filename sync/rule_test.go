package sync_test

import (
	"cmp"
	"strings"

	clerksync "github.com/clerksync/clerksync/sync"
)

// rule is the merge rule. Its zero value is ours: what evidence says is written here once more, from its specification, and how
// it is merged is the package's own State. Each field breaks it in one way.
type rule struct {
	liveWinsTies, noMargin, noHash, updatedOnly, removes, absorbs, noLead, byArrival bool
}

// says works out what a clue says; n counts the clues that came before it.
func (r rule) says(c clue, n int) (key clerksync.Key, dead int64) {
	margin, lead := int64(readMargin), int64(kappa)
	if r.noMargin {
		margin = 0
	}
	if r.noLead {
		lead = 0
	}
	key, dead = clerksync.Bottom, clerksync.Never
	switch {
	case r.byArrival && c.exists:
		key = clerksync.Key{Alive: int64(n), Updated: c.updated, Seen: c.at, Hash: contents[c.content]}
	case r.byArrival:
		dead = int64(n)
	case c.exists:
		key = clerksync.Key{Alive: c.updated, Updated: c.updated, Seen: c.at, Hash: contents[c.content]}
		if c.event && c.at == 0 {
			key.Seen = c.updated
		}
		if !c.event && !c.skewed {
			key.Alive = max(c.updated, c.at-margin)
		}
		if r.updatedOnly {
			key.Alive, key.Seen = c.updated, 0
		}
	case !c.event:
		dead = c.at - margin
	case c.at == 0 || c.at > c.received+sigma:
		dead = c.received + sigma
	default:
		dead = c.at + lead
	}
	return key, dead
}

// visible says whether an object in a state is visible.
func (r rule) visible(s clerksync.State) bool {
	switch {
	case r.liveWinsTies:
		return s.Key.Alive >= s.Dead && s.Key != clerksync.Bottom
	case r.absorbs:
		return s.Dead == clerksync.Never && s.Visible()
	}
	return s.Visible()
}

// compare orders keys.
func (r rule) compare(a, b clerksync.Key) int {
	switch {
	case r.updatedOnly:
		return cmp.Compare(a.Updated, b.Updated)
	case r.noHash:
		a.Hash, b.Hash = "", ""
	}
	return a.Compare(b)
}

// live merges a payload.
func (r rule) live(s clerksync.State, key clerksync.Key, payload []byte) clerksync.State {
	if r == (rule{}) {
		return s.Live(key, payload)
	}
	if r.compare(key, s.Key) <= 0 {
		return s
	}
	if s.Key = key; r.visible(s) {
		s.Payload = payload
	}
	return s
}

// gone merges a deletion.
func (r rule) gone(s clerksync.State, dead int64) clerksync.State {
	if r.removes && dead >= s.Key.Alive {
		return clerksync.Unknown
	}
	return s.Gone(dead)
}

// merge merges a clue, the n-th that comes.
func (r rule) merge(s clerksync.State, c clue, n int) clerksync.State {
	key, dead := r.says(c, n)
	if c.exists {
		return r.live(s, key, c.payload())
	}
	return r.gone(s, dead)
}

// lazy reports whether a read need not be written.
func (r rule) lazy(s clerksync.State, c clue) bool {
	return !c.event && !c.login && c.exists && r.visible(s) && s.Dead == clerksync.Never && string(s.Payload) == string(c.payload())
}

// newer is the order of keys once more, as the oracle has it.
func newer(a, b clerksync.Key) bool {
	if a.Alive != b.Alive {
		return a.Alive > b.Alive
	}
	if a.Updated != b.Updated {
		return a.Updated > b.Updated
	}
	if a.Seen != b.Seen {
		return a.Seen > b.Seen
	}
	return a.Hash > b.Hash
}

// shows reports whether a visible state has the payload that belongs to its key.
func shows(s clerksync.State) bool {
	return s.Payload != nil && strings.HasPrefix(string(s.Payload), s.Key.Hash)
}
