package sync_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

const (
	second = 1000
	minute = 60 * second
	hour   = 60 * minute
)

// at is the user at some minutes past.
func at(minutes int64, name string) user {
	return user{ID: "user_1", Updated: past + minutes*minute, Name: name}
}

// event dates a webhook at the user's updated_at.
func (u user) told() clerksync.Evidence { return told(u, u.Updated) }

type (
	batch    = []clerksync.Evidence
	outcomes = []clerksync.Outcome
)

// again makes a step that applies what step n applied.
func again(n int) batch { return batch{{At: int64(n), Source: "again"}} }

// TestOutcomes tells each piece what became of it, and puts into the feed what is visible of that, under 1, 2, 3 …
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const (
		created, updated, refreshed, deleted = clerksync.Created, clerksync.Updated, clerksync.Refreshed, clerksync.Deleted
		revived, unchanged, stale            = clerksync.Revived, clerksync.Unchanged, clerksync.Stale
	)
	active := func(u user, activity int64) user { u.Active = activity; return u }
	tests := []struct {
		name  string
		steps []batch
		want  []outcomes
		feed  outcomes
	}{
		{"an event delivered twice", []batch{{at(0, "a").told()}, again(0)}, []outcomes{{created}, {unchanged}}, outcomes{created}},
		{"an event twice in one transaction", []batch{{at(0, "a").told(), at(0, "a").told()}}, []outcomes{{created, unchanged}}, outcomes{created}},
		{"an update", []batch{{at(0, "a").told()}, {at(1, "b").told()}}, []outcomes{{created}, {updated}}, outcomes{created, updated}},
		{"an update before the creation", []batch{{at(1, "b").told()}, {at(0, "a").told()}}, []outcomes{{created}, {stale}}, outcomes{created}},
		{"an update and the creation in one transaction", []batch{{at(1, "b").told(), at(0, "a").told()}}, []outcomes{{created, stale}}, outcomes{created}},
		{"an update that changes nothing that counts", []batch{{at(0, "a").told()}, {active(at(1, "a"), 7).told()}}, []outcomes{{created}, {refreshed}}, outcomes{created}},
		{"the same content twice in one transaction", []batch{{at(0, "a").told(), at(1, "a").told()}}, []outcomes{{unchanged, created}}, outcomes{created}},
		{"a new content under the old updated_at", []batch{{told(at(0, "a"), past)}, {told(at(0, "b"), past+1)}}, []outcomes{{created}, {updated}}, outcomes{created, updated}},
		{"a deletion", []batch{{at(0, "a").told()}, {toldGone("user_1", past+minute)}}, []outcomes{{created}, {deleted}}, outcomes{created, deleted}},
		{"a deletion delivered twice", []batch{{at(0, "a").told()}, {toldGone("user_1", past+minute)}, again(1)}, []outcomes{{created}, {deleted}, {unchanged}}, outcomes{created, deleted}},
		{"two deletions", []batch{{at(0, "a").told()}, {toldGone("user_1", past+minute)}, {toldGone("user_1", past+hour)}}, []outcomes{{created}, {deleted}, {unchanged}}, outcomes{created, deleted}},
		{"two deletions in one transaction", []batch{{at(0, "a").told()}, {toldGone("user_1", past+minute), toldGone("user_1", past+hour)}}, []outcomes{{created}, {unchanged, deleted}}, outcomes{created, deleted}},
		{"a deletion twice in one transaction", []batch{{at(0, "a").told()}, {toldGone("user_1", past+minute), toldGone("user_1", past+minute)}}, []outcomes{{created}, {deleted, unchanged}}, outcomes{created, deleted}},
		{"a deletion of nobody", []batch{{toldGone("user_1", past)}, {toldGone("user_1", past+hour)}}, []outcomes{{deleted}, {unchanged}}, nil},
		{"a creation after the deletion of nobody", []batch{{toldGone("user_1", past)}, {at(1, "a").told()}}, []outcomes{{deleted}, {created}}, outcomes{created}},
		{"created and deleted in one transaction", []batch{{at(0, "a").told(), toldGone("user_1", past)}}, []outcomes{{stale, deleted}}, nil},
		{"deleted and created in one transaction", []batch{{toldGone("user_1", past), at(0, "a").told()}}, []outcomes{{deleted, stale}}, nil},
		{"deleted and created later in one transaction", []batch{{toldGone("user_1", past), at(1, "a").told()}}, []outcomes{{stale, created}}, outcomes{created}},
		{"updated and deleted in one transaction", []batch{{at(0, "a").told()}, {at(1, "b").told(), toldGone("user_1", past+minute)}}, []outcomes{{created}, {stale, deleted}}, outcomes{created, deleted}},
		{"an update after the deletion", []batch{{at(0, "a").told()}, {toldGone("user_1", past+hour)}, {at(1, "b").told()}}, []outcomes{{created}, {deleted}, {stale}}, outcomes{created, deleted}},
		{"the creation after the deletion", []batch{{at(0, "a").told()}, {toldGone("user_1", past+hour)}, again(0)}, []outcomes{{created}, {deleted}, {unchanged}}, outcomes{created, deleted}},
		{"a deletion too old", []batch{{at(9, "a").told()}, {toldGone("user_1", past)}}, []outcomes{{created}, {stale}}, outcomes{created}},
		{"a revival", []batch{{at(0, "a").told()}, {toldGone("user_1", past+minute)}, {at(9, "a").told()}}, []outcomes{{created}, {deleted}, {revived}}, outcomes{created, deleted, revived}},
		{"deleted and revived in one transaction", []batch{{at(0, "a").told()}, {toldGone("user_1", past+minute), at(9, "b").told()}}, []outcomes{{created}, {stale, updated}}, outcomes{created, updated}},
		{"a revival by a read", []batch{{at(0, "a").told()}, {toldGone("user_1", past+minute)}, {read(at(0, "a"), past+9*minute)}}, []outcomes{{created}, {deleted}, {revived}}, outcomes{created, deleted, revived}},
		{"a 404", []batch{{at(0, "a").told()}, {readGone("user_1", past+2*minute)}}, []outcomes{{created}, {deleted}}, outcomes{created, deleted}},
		{"a 404 within the margin", []batch{{at(0, "a").told()}, {readGone("user_1", past+2*minute-1)}}, []outcomes{{created}, {stale}}, outcomes{created}},
		{"a read after an event", []batch{{at(0, "a").told()}, {read(active(at(0, "a"), 7), past+hour)}}, []outcomes{{created}, {refreshed}}, outcomes{created}},
		{"a read of the same bytes", []batch{{at(0, "a").told()}, {read(at(0, "a"), past+hour)}}, []outcomes{{created}, {unchanged}}, outcomes{created}},
		{"a login's read of the same bytes", []batch{{at(0, "a").told()}, {by(clerksync.Login, read(at(0, "a"), past+hour))}}, []outcomes{{created}, {unchanged}}, outcomes{created}},
		{"a read older than the row", []batch{{read(at(0, "a"), past+hour)}, {read(at(0, "b"), past+minute)}}, []outcomes{{created}, {stale}}, outcomes{created}},
		{"a read after a roll-back", []batch{{at(9, "b").told()}, {read(at(0, "a"), past+hour)}}, []outcomes{{created}, {updated}}, outcomes{created, updated}},
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		for _, test := range tests {
			empty(t, m)
			var got []outcomes
			for _, step := range test.steps {
				if step[0].Source == "again" {
					step = test.steps[step[0].At]
				}
				got = append(got, outcomesOf(apply(t, m, step...)))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s: outcomes (-want +got)\n%s", test.name, diff)
			}
			var feed outcomes
			for i, c := range changes(t, m, 0) {
				if c.Version != int64(i+1) {
					t.Errorf("%s: version %d is number %d of the feed", test.name, c.Version, i+1)
				}
				feed = append(feed, c.Op)
			}
			if diff := cmp.Diff(test.feed, feed); diff != "" {
				t.Errorf("%s: feed (-want +got)\n%s", test.name, diff)
			}
			if r := rows(t, m)["user_1"]; r.Version != int64(len(test.feed)) {
				t.Errorf("%s: the row has version %d, want %d", test.name, r.Version, len(test.feed))
			}
		}
	})
}

func outcomesOf(results []clerksync.Result) outcomes {
	all := make(outcomes, len(results))
	for i, r := range results {
		all[i] = r.Outcome
	}
	return all
}

// empty forgets all that the mirror knows, but not whose it is.
func empty(t *testing.T, m *clerksync.Mirror) {
	t.Helper()
	forgetful := admin(t, m.DB()) // a daemon may not forget so much
	for _, table := range []string{"users", "changes", "events"} {
		if _, err := forgetful.ExecContext(t.Context(), m.SQL(`DELETE FROM {`+table+`}`)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConflicts asks for a read where evidence contradicts what is known, and only there.
func TestConflicts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		known batch
		piece clerksync.Evidence
		want  bool
	}{
		{"a creation", nil, at(0, "a").told(), false},
		{"a live event about a hidden user", batch{at(0, "a").told(), toldGone("user_1", past+hour)}, at(1, "b").told(), true},
		{"a revival", batch{at(0, "a").told(), toldGone("user_1", past)}, at(1, "b").told(), false},
		{"another content under the same updated_at", batch{told(at(0, "a"), past+1)}, told(at(0, "b"), past), true},
		{"the same content under the same updated_at", batch{told(at(0, "a"), past+1)}, told(at(0, "a"), past), false},
		{"another content under the same updated_at of a hidden user", batch{at(0, "a").told(), toldGone("user_1", past+hour)}, told(at(0, "b"), past), true},
		{"an update that is older than the deletion before a revival", batch{toldGone("user_1", past+minute), at(9, "b").told()}, at(0, "a").told(), false},
		{"an old update", batch{at(1, "b").told()}, at(0, "a").told(), false},
		{"a deletion of a user seen later", batch{at(1, "a").told()}, toldGone("user_1", past), true},
		{"a deletion", batch{at(0, "a").told()}, toldGone("user_1", past), false},
		{"a read of a hidden user", batch{at(0, "a").told(), toldGone("user_1", past+hour)}, read(at(1, "b"), past), false},
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		for _, test := range tests {
			empty(t, m)
			if test.known != nil {
				apply(t, m, test.known...)
			}
			if got := apply(t, m, test.piece)[0]; got.Conflict != test.want {
				t.Errorf("%s: %+v, want conflict %t", test.name, got, test.want)
			}
		}
	})
}

// TestInitial marks what was created before the mirror was.
func TestInitial(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		var born struct {
			At int64 `json:"at"`
		}
		if found, err := m.ReadState(t.Context(), "born", &born); err != nil || !found {
			t.Fatal(found, err)
		}
		want := map[string]bool{"user_before": true, "user_at": false, "user_after": false}
		for id, created := range map[string]int64{"user_before": born.At - 1, "user_at": born.At, "user_after": born.At + 1} {
			u := user{ID: id, Updated: past, Created: created}
			apply(t, m, u.told())
			u.Name, u.Updated = "b", past+1
			apply(t, m, u.told())
		}
		for _, c := range changes(t, m, 0) {
			if c.Initial != (want[c.ObjectID] && c.Op == clerksync.Created) {
				t.Errorf("%s %s: initial %t", c.ObjectID, c.Op, c.Initial)
			}
		}
	})
}

// TestLazyWrite leaves a row alone that a read confirms byte by byte, but for a login's read, and but for one that was deleted
// once: that one must learn how long it has lived.
func TestLazyWrite(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		seen := func() int64 { return rows(t, m)["user_1"].Seen }
		u := at(0, "a")
		apply(t, m, u.told())
		if apply(t, m, read(u, past+hour)); seen() != past {
			t.Errorf("seen_at = %d, want %d: a read of the same bytes was written", seen()-past, 0)
		}
		if apply(t, m, by(clerksync.Login, read(u, past+hour))); seen() != past+hour {
			t.Errorf("seen_at = %d, want %d: a login's read was not written", seen()-past, hour)
		}
		apply(t, m, toldGone("user_1", past+hour))
		if apply(t, m, read(u, past+2*hour), read(u, past+2*hour)); seen() != past+2*hour {
			t.Errorf("seen_at = %d, want %d: the revival was not written", seen()-past, 2*hour)
		}
		if apply(t, m, read(u, past+3*hour)); seen() != past+3*hour {
			t.Errorf("seen_at = %d, want %d: a read of a user that was deleted once was not written", seen()-past, 3*hour)
		}
	})
}

// TestKeptEvents looks at the rows of events after every sort of outcome.
func TestKeptEvents(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		create, remove := at(0, "a").told(), toldGone("user_1", past+minute)
		future := at(0, "a").told()
		future.At = 1 << 50
		other := clerksync.Evidence{Source: clerksync.Webhook, Event: event("email.created", "ema_1")}
		broken := clerksync.Evidence{Source: clerksync.Webhook, Event: event("user.created", "")}
		broken.Event.Quarantine = "data has no id"
		foreign := at(5, "z").told()
		foreign.Event.InstanceID = "ins_2another"
		for _, e := range (batch{create, create, remove, create, future, other, broken, foreign}) {
			apply(t, m, e)
		}
		reason := func(s string) *string { return &s }
		want := map[string]eventRow{
			create.Event.ID: {ID: create.Event.ID, Outcome: clerksync.Created, Attempts: 3},
			remove.Event.ID: {ID: remove.Event.ID, Outcome: clerksync.Deleted, Attempts: 1},
			future.Event.ID: {ID: future.Event.ID, Outcome: clerksync.Deferred, Attempts: 1, Error: reason("dated in the future"), Payload: future.Event.Body, Due: true},
			other.Event.ID:  {ID: other.Event.ID, Outcome: clerksync.Ignored, Attempts: 1},
			broken.Event.ID: {ID: broken.Event.ID, Outcome: clerksync.Quarantined, Attempts: 1, Error: reason("data has no id"), Payload: broken.Event.Body},
		}
		if diff := cmp.Diff(want, events(t, m)); diff != "" {
			t.Errorf("events (-want +got)\n%s", diff)
		}
		// What waited takes the outcome of its last try, and its body goes.
		future.At, broken.Event.Quarantine = past+hour, ""
		broken.Kind, broken.Object = clerksync.Users, user{ID: "user_2", Updated: past}.JSON()
		apply(t, m, future)
		apply(t, m, broken)
		for id, outcome := range map[string]clerksync.Outcome{future.Event.ID: clerksync.Stale, broken.Event.ID: clerksync.Created} {
			if diff := cmp.Diff(eventRow{ID: id, Outcome: outcome, Attempts: 2}, events(t, m)[id]); diff != "" {
				t.Errorf("retried (-want +got)\n%s", diff)
			}
		}
	})
}
