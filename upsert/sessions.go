package upsert

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	clerksync "github.com/clerksync/clerksync/sync"
)

// sessions remembers users by session. An entry holds for as long as its user's epoch, which every change of the user ends, so
// whatever was read before a change cannot outlive it, however late it was put here.
type sessions struct {
	entries *lru.Cache[string, *entry]
	seed    maphash.Seed
	epochs  [1 << 14]atomic.Uint64 // by hash of the user's id; sharing one costs a needless read now and then
	places  atomic.Uint64          // one epoch for all: a change of a membership does not tell whose it is
}

type entry struct {
	user    clerksync.User
	epoch   uint64
	expires time.Time
	place   atomic.Pointer[place] // in the organization that was active last
}

func newSessions(size int) *sessions {
	entries, err := lru.New[string, *entry](size)
	if err != nil {
		panic(err) // the size is positive
	}
	return &sessions{entries: entries, seed: maphash.MakeSeed()}
}

func (s *sessions) slot(userID string) *atomic.Uint64 {
	return &s.epochs[maphash.String(s.seed, userID)%uint64(len(s.epochs))]
}

// epoch must be called before the user's row is read.
func (s *sessions) epoch(userID string) uint64 { return s.slot(userID).Load() }

// notice ends the epochs of all that a commit has changed.
func (s *sessions) notice(c clerksync.Commit) {
	for _, change := range c.Changes {
		switch change.Kind {
		case clerksync.Users:
			s.slot(change.ObjectID).Add(1)
		case clerksync.Organizations, clerksync.OrganizationMemberships:
			s.places.Add(1)
		}
	}
}

// get returns the entry of a session, or nil.
func (s *sessions) get(sessionID, userID string) *entry {
	e, ok := s.entries.Get(sessionID)
	if !ok || e.user.ID != userID || e.epoch != s.epoch(userID) || !time.Now().Before(e.expires) {
		return nil
	}
	return e
}

func (s *sessions) put(sessionID string, e *entry) { s.entries.Add(sessionID, e) }

func (s *sessions) forget() { s.entries.Purge() }
