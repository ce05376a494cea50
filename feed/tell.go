package feed

import (
	"regexp"
	"slices"
	"time"

	"github.com/clerksync/clerksync/internal/crash"
)

// illness is what keeps a relay from its work, and what an operator was told of that.
type illness struct {
	refused int      // how many tries to send have failed in a row
	told    []string // the sorts of failures that an operator was told of meanwhile
	unread  int      // how many times in a row the database did not tell what there is to send
}

// watch tells an operator of a receiver that does not return, until stop: the relay can only wait for it, since what is on its way may
// arrive yet.
func (d *delivery) watch(seq int64) (stop func() bool) {
	return time.AfterFunc(d.late, func() {
		_ = crash.Contain(func() error {
			d.Logger.Warn("a receiver does not return although its time is over, so nothing more is sent to it", "relay", d.relay.Name, "seq", seq)
			return nil
		})
	}).Stop
}

// tellAfter is how many tries in a row must fail before an operator is told.
const tellAfter = 3

// tellSorts is of how many sorts of failures in a row: the first may be over while another one, such as a stream that did not outlive its
// server, keeps the relay from going on.
const tellSorts = 10

// passing is what differs in errors of one sort: ports, and the time, which errors about certificates tell.
var passing = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+|:[0-9]+`)

// tell logs that a receiver is ill, once for each sort of failure, and that it is well again.
func (d *delivery) tell(err error, seq int64) {
	d.unread = 0 // what was sent was read
	if err == nil {
		if d.refused >= tellAfter {
			d.Logger.Info("a receiver takes changes again", "relay", d.relay.Name, "seq", seq)
		}
		d.refused, d.told = 0, nil
		d.pause.Reset()
		return
	}
	d.refused++
	sort := passing.ReplaceAllString(err.Error(), "")
	if d.refused < tellAfter || len(d.told) == tellSorts || slices.Contains(d.told, sort) {
		return
	}
	d.told = append(d.told, sort)
	d.Logger.Warn("a receiver does not take changes", "relay", d.relay.Name, "seq", seq, "error", err)
}

// tellUnreadAfter is how many times in a row the database must fail before an operator is told by a relay. They take some 20 seconds, by when
// one that answers nobody has cost it the lease, which tells more.
const tellUnreadAfter = 15

// tellUnread logs that a relay stands still for the database: once, since it may go on at any time.
func (d *delivery) tellUnread(err error) {
	if d.unread++; d.unread == tellUnreadAfter {
		d.Logger.Warn("a relay cannot read what it has to deliver", "relay", d.relay.Name, "after", d.pos.seq, "error", err)
	}
}
