package sync_test

import (
	"testing"

	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"
)

// isolations runs a test on databases whose transactions are of each level by default, as a team may have set it.
func isolations(t *testing.T, test func(*testing.T, *sqlx.DB)) {
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			test(t, setting(t, "default_transaction_isolation", level))
		})
	}
}

// TestForeignEventDuringPin has a process without a pin apply an event of another instance while somebody pins, in the transaction that
// Pin makes.
func TestForeignEventDuringPin(t *testing.T) {
	t.Parallel()
	isolations(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db, clerksync.Config{})
		tx := db.MustBegin()
		defer tx.Rollback()
		tx.MustExec(m.SQL(`SELECT key FROM {state} WHERE key = 'feed' FOR UPDATE`))
		wait := callers(t.Context(), m, 1, func(int) clerksync.Evidence { return from(another, at(0, "a").told()) })
		waitFor(t, "it to wait", func() bool { return waitingForLocks(t, db) == 1 })
		tx.MustExec(m.SQL(`INSERT INTO {state} (key, value, updated_at) VALUES ('instance', $1, {now})`), `{"id":"`+instance+`"}`)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := wait(); err != nil {
			t.Fatal(err)
		}
		if got := rows(t, m); len(got) != 0 {
			t.Errorf("%d rows of another instance", len(got))
		}
	})
}

// TestPinDuringForeignEvent is the other way round: Pin waits for the commit of the event, and refuses.
func TestPinDuringForeignEvent(t *testing.T) {
	t.Parallel()
	isolations(t, func(t *testing.T, db *sqlx.DB) {
		m, other := open(t, db, clerksync.Config{}), open(t, db, clerksync.Config{})
		release := holdUsers(t, db, m) // the event has the feed, and waits for users
		wait := callers(t.Context(), m, 1, func(int) clerksync.Evidence { return from(another, at(0, "a").told()) })
		waitFor(t, "it to wait", func() bool { return waitingForLocks(t, db) == 1 })
		pin := make(chan error, 1)
		go func() { pin <- other.Pin(t.Context(), instance) }()
		waitFor(t, "both to wait", func() bool { return waitingForLocks(t, db) == 2 })
		release()
		if err := wait(); err != nil {
			t.Error(err)
		}
		if err := <-pin; err == nil {
			t.Error("a mirror with rows of another instance was pinned")
		}
	})
}
