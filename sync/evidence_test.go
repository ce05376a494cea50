package sync_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// past is an instant that no test's clock calls the future: 2026-01-01.
const past int64 = 1767225600000

// margin is the read margin of the tests' reads.
const margin = 2 * time.Minute

// user is a Clerk user as far as a test cares. Active is volatile, all else counts as a change.
type user struct {
	ID      string
	Updated int64
	Created int64
	Active  int64
	Name    string
	Banned  bool
	More    string // further members, each with a comma before it
}

// JSON writes the user as Clerk does.
func (u user) JSON() []byte {
	b := make([]byte, 0, 256)
	b = append(b, `{"id":`...)
	b = strconv.AppendQuote(b, u.ID)
	b = append(b, `,"object":"user","first_name":`...)
	b = strconv.AppendQuote(b, u.Name)
	b = append(b, `,"banned":`...)
	b = strconv.AppendBool(b, u.Banned)
	b = append(b, `,"created_at":`...)
	b = strconv.AppendInt(b, u.Created, 10)
	b = append(b, `,"last_active_at":`...)
	b = strconv.AppendInt(b, u.Active, 10)
	b = append(b, `,"updated_at":`...)
	b = strconv.AppendInt(b, u.Updated, 10)
	b = append(b, u.More...)
	return append(b, '}')
}

var messages atomic.Int64

// event is an event that no other call returns.
func event(typ, id string) *clerksync.Event {
	return &clerksync.Event{
		ID: fmt.Sprintf("msg_%d", messages.Add(1)), Type: typ, ObjectID: id, InstanceID: instance,
		Body: []byte(`{"kept":"only while it waits"}`),
	}
}

// told is E1: an event dated at carries the user.
func told(u user, at int64) clerksync.Evidence {
	return clerksync.Evidence{
		Kind: clerksync.Users, ID: u.ID, Object: u.JSON(), At: at,
		Source: clerksync.Webhook, Event: event("user.updated", u.ID),
	}
}

// read is E2: a read that started at showed the user.
func read(u user, at int64) clerksync.Evidence {
	return clerksync.Witness(clerksync.Evidence{
		Kind: clerksync.Users, ID: u.ID, Object: u.JSON(), At: at, Source: clerksync.Reconcile,
	}, margin, false)
}

// toldGone is E3: an event dated at reports the deletion; 0 means that it has no date.
func toldGone(id string, at int64) clerksync.Evidence {
	return clerksync.Evidence{
		Kind: clerksync.Users, ID: id, At: at, Source: clerksync.Webhook, Event: event("user.deleted", id),
	}
}

// readGone is E4: a GET by id that started at answered 404.
func readGone(id string, at int64) clerksync.Evidence {
	return clerksync.Witness(clerksync.Evidence{
		Kind: clerksync.Users, ID: id, At: at, Source: clerksync.Reconcile,
	}, margin, false)
}

// by changes the feeder of a read.
func by(source clerksync.Source, e clerksync.Evidence) clerksync.Evidence {
	e.Source = source
	return e
}
