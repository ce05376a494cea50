package sync

import (
	"cmp"
	"math"
	"strings"
)

// Never is the smallest instant, before everything: the Dead of an object never known to be gone.
// All instants of the merge rule are Unix milliseconds.
const Never int64 = math.MinInt64

// mergeKey orders the payloads of one object: the greater key holds the newer payload. Keys are compared field by field in the order
// in which they are declared. [bottom] is the least of them.
type mergeKey struct {
	Alive   int64  // the latest instant at which the object provably existed
	Updated int64  // Clerk's own updated_at of the payload
	Seen    int64  // breaks ties: the event's timestamp, or the start of the read
	Hash    string // the version byte and SHA-256 of what is mirrored, as bytes; empty in bottom
}

// bottom is the key of an object of which nothing but its deletion is known.
var bottom = mergeKey{Alive: Never, Updated: Never, Seen: Never}

// Compare returns -1, 0 or +1 as k is less than, equal to or greater than o.
func (k mergeKey) Compare(o mergeKey) int {
	return cmp.Or(
		cmp.Compare(k.Alive, o.Alive),
		cmp.Compare(k.Updated, o.Updated),
		cmp.Compare(k.Seen, o.Seen),
		strings.Compare(k.Hash, o.Hash),
	)
}

// mergeState is what is known about one object: the merge of all evidence about it. Its zero value is not meaningful; start from
// [unknown]. It is a value: merging returns another one.
type mergeState struct {
	Key     mergeKey
	Dead    int64  // the object is gone as of this instant
	Payload []byte // Clerk's JSON that came with Key; nil if it came while the object was hidden
}

// unknown is the state of an object of which nothing is known.
var unknown = mergeState{Key: bottom, Dead: Never}

// Visible reports whether the object exists, as far as is known. A tie between the two instants means that it does not.
func (s mergeState) Visible() bool { return s.Key.Alive > s.Dead }

// Live merges a payload seen under key k. While the object stays hidden only the key moves: nothing personal comes back into a
// hidden row.
func (s mergeState) Live(k mergeKey, payload []byte) mergeState {
	if k.Compare(s.Key) <= 0 {
		return s
	}
	s.Key = k
	if s.Visible() {
		s.Payload = payload
	}
	return s
}

// Gone merges the knowledge that the object does not exist as of the instant dead.
func (s mergeState) Gone(dead int64) mergeState {
	s.Dead = max(s.Dead, dead)
	return s
}
