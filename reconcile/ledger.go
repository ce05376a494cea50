package reconcile

import (
	clerksync "github.com/clerksync/clerksync/sync"
)

// The bounds of a ledger. Beyond them it counts but does not keep: a pass with that many suspects is refused by every guard.
const (
	maxSuspects = 100_000
	maxNear     = 100_000
)

// ledger finds the visible rows that a walk in the order of creation did not show, without remembering all that it showed. After
// each page the walk has passed a stretch of time; the rows created in it are compared with the users seen there, and are done.
// What is seen later than its place in the order, takes a suspicion back.
type ledger struct {
	From     int64            `json:"from"`    // everything created before it has been compared
	Near     map[string]int64 `json:"near"`    // users seen that were created at From or later, and when that was
	Suspects map[string]bool  `json:"missing"` // visible rows that were not seen
	Excess   int64            `json:"excess"`  // suspects beyond those kept
	Seen     int64            `json:"seen"`    // distinct users; less, where the order of the list does not let it tell
}

func newLedger() *ledger {
	return &ledger{From: clerksync.Never, Near: map[string]int64{}, Suspects: map[string]bool{}}
}

// note takes down what a page shows.
func (l *ledger) note(sightings []clerksync.Sighting) {
	for _, s := range sightings {
		if s.ID == "" {
			continue
		}
		_, near := l.Near[s.ID]
		created := s.Dated()
		switch {
		case near:
		case l.Suspects[s.ID]:
			delete(l.Suspects, s.ID)
			l.Seen++
		case created >= l.From && len(l.Near) < maxNear:
			l.Seen++
		}
		if created >= l.From && (near || len(l.Near) < maxNear) {
			l.Near[s.ID] = created
		}
	}
}

// passed returns the last instant of the stretch that the walk has passed after a page: up to the instant at which the page's last
// user was created, but without it, since the next page may show more of that instant. Never means that it has not got on.
func passed(sightings []clerksync.Sighting) int64 {
	if len(sightings) == 0 {
		return clerksync.Never
	}
	last := sightings[len(sightings)-1].Dated()
	if last == clerksync.Never {
		return clerksync.Never
	}
	return last - 1
}

// row compares a visible row of the stretch with what was seen there. At most so many suspects are kept.
func (l *ledger) row(r clerksync.Row, most int) {
	if _, seen := l.Near[r.ID]; seen {
		return
	}
	if len(l.Suspects) >= most {
		l.Excess++
		return
	}
	l.Suspects[r.ID] = true
}

// close ends the comparison of a stretch.
func (l *ledger) close(through int64) {
	l.From = max(l.From, through+1)
	for id, created := range l.Near {
		if created < l.From {
			delete(l.Near, id)
		}
	}
}
