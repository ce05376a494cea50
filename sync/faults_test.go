package sync_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
)

// question asks a mirror something, and returns the answer.
type question func(ctx context.Context, m *clerksync.Mirror) (answer any, err error)

// collect gathers what is yielded up to the first error.
func collect[T any](yielded iter.Seq2[T, error]) (list []T, err error) {
	for v, err := range yielded {
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

var (
	stayer = person{word: "Canaria", born: past}
	leaver = person{word: "Lanzarote", born: past}
)

// questions are what mirrors are asked, besides what each kind is.
var questions = map[string]question{
	"the audit log": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return collect(m.Audit(ctx, time.Time{}, time.Time{}))
	},
	"a user's audit log": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return m.AuditOf(ctx, clerksync.Users, leaver.id())
	},
	"deletions": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return collect(m.Deletions(ctx, time.Time{}, time.Time{}))
	},
	"changes": func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Changes(ctx, 0, 100) },
	"a user's changes": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return m.ChangesOf(ctx, clerksync.Users, leaver.id(), 100)
	},
	"the ends of the feed": func(ctx context.Context, m *clerksync.Mirror) (any, error) { return both(m.FeedEnds(ctx)) },
	"whether one is there": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return both(m.Find(ctx, clerksync.Users, stayer.id()))
	},
	"the hidden":  func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Hidden(ctx, 100) },
	"populations": func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Populations(ctx) },
	"the log of events": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return m.Log(ctx, clerksync.LogQuery{Held: false})
	},
	"the intake":       func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Intake(ctx) },
	"events that wait": func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Waiting(ctx) },
	"a membership": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return m.Membership(ctx, "org_1", stayer.id())
	},
	"an organization": func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Organization(ctx, "org_1") },
	"members":         func(ctx context.Context, m *clerksync.Mirror) (any, error) { return collect(m.MembersOf(ctx, "org_1")) },
	"a user's memberships": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return collect(m.OrganizationsOf(ctx, stayer.id()))
	},
	"a user": func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.User(ctx, stayer.id()) },
	"a user by address": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return m.UserByEmail(ctx, stayer.address())
	},
	"users": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return collect(m.Users(ctx, clerksync.UserFilter{}))
	},
	"the pin": func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Pinned(ctx) },
	"a dry run": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		return m.Compare(ctx, saw(clerksync.Users, stayer.id(), stayer.user(past+5), past+5))
	},
	"the audit log's chain": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
		rows, last, err := m.VerifyAudit(ctx, "")
		return fmt.Sprint(rows, last), err
	},
}

func both[A, B any](a A, b B, err error) (string, error) { return fmt.Sprint(a, b), err }

// ofKind are what mirrors are asked about each kind.
func ofKind(k clerksync.Kind) map[string]question {
	ids := []string{stayer.id(), leaver.id(), "orgmem_" + stayer.suffix(), "sess_" + stayer.suffix()}
	asked := map[string]question{
		"when alive": func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Alive(ctx, k, ids) },
		"how many":   func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.CountVisible(ctx, k) },
		"due":        func(ctx context.Context, m *clerksync.Mirror) (any, error) { return collect(m.Due(ctx, k, -time.Hour)) },
		"families":   func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Families(ctx, k, ids) },
		"objects":    func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Objects(ctx, k, ids...) },
		"returned":   func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Returned(ctx, k, -time.Hour) },
		"a sum": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
			return m.Tally(ctx, k, past-day, past+day)
		},
		"rows": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
			return collect(m.Visible(ctx, k, clerksync.Never, math.MaxInt64))
		},
		"what is stored": func(ctx context.Context, m *clerksync.Mirror) (any, error) {
			stored, found, err := m.Stored(ctx, k, ids[0])
			return fmt.Sprint(stored.ID, found), err
		},
	}
	if !k.Cursor() {
		delete(asked, "a sum")
	}
	return asked
}

// TestQuestionsMeetFaults has each call of the database fail while a mirror is asked something. It is answered rightly or not at all,
// with an error that says that trying again may help.
func TestQuestionsMeetFaults(t *testing.T) {
	t.Parallel()
	pgtest.BothFaulty(t, func(t *testing.T, db *pgtest.Faulty) {
		well, ill := everything(t, db.Well), everything(t, db.DB)
		apply(t, well, founded("org_1", past))
		for _, p := range []person{stayer, leaver} {
			p.arrive(t, well, past)
		}
		leaver.leave(t, well, past+1000)
		erased, err := well.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: leaver.id()})
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]question{"remnants": func(ctx context.Context, m *clerksync.Mirror) (any, error) { return m.Remnants(ctx, true, erased) }}
		for name, ask := range questions {
			asked[name] = ask
		}
		for _, k := range allOfIt.Kinds {
			for name, ask := range ofKind(k) {
				asked[string(k)+": "+name] = ask
			}
		}
		for name, ask := range asked {
			want := answer(t, ask, well)
			meetFaults(t, db, name, func() func() error {
				return func() error {
					got, err := ask(t.Context(), ill)
					if err == nil && asText(t, got) != want {
						t.Errorf("%s: %s, want %s", name, asText(t, got), want)
					}
					return err
				}
			})
		}
	})
}

// meetFaults does what begin returns until none of its calls is left that could fail, each in one of the ways or, in make torture, in
// every way. begin itself meets no fault.
func meetFaults(t *testing.T, db *pgtest.Faulty, name string, begin func() (do func() error)) {
	t.Helper()
	for n, struck := 1, true; struck && n < 1000; n += torture.Step() {
		struck = false
		for i, way := range pgtest.Ways {
			if !torture.Long && i != n%len(pgtest.Ways) {
				continue
			}
			do := begin()
			db.Fail(n, way)
			err := do()
			call := db.Heal()
			struck = struck || call != ""
			switch {
			case err == nil:
			case call == "":
				t.Errorf("%s: %v, but no call failed", name, err)
			case !errors.Is(err, clerksync.ErrUnavailable):
				t.Errorf("%s, call %d (%s), %s: %v, want ErrUnavailable", name, n, call, way, err)
			}
			if n := db.Stats().InUse; n > 0 {
				t.Fatalf("%s, call %d (%s), %s: %d connections are not given back", name, n, call, way, n)
			}
		}
	}
}

func answer(t *testing.T, ask question, m *clerksync.Mirror) string {
	t.Helper()
	got, err := ask(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return asText(t, got)
}

func asText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// chore is something that keeps a mirror tidy.
type chore struct {
	name string
	do   func(ctx context.Context, m *clerksync.Mirror, p person) error // p has left
	left string                                                         // counts what is left to do once it is done
}

var chores = []chore{
	{"opening", func(ctx context.Context, m *clerksync.Mirror, _ person) error {
		_, err := clerksync.Open(ctx, m.DB(), allOfIt)
		return err
	}, `SELECT 0`},
	{"pinning", func(ctx context.Context, m *clerksync.Mirror, _ person) error { return m.Pin(ctx, instance) },
		`SELECT 1 - count(*) FROM {state} WHERE key = 'instance'`},
	{"writing state", func(ctx context.Context, m *clerksync.Mirror, _ person) error { return m.WriteState(ctx, "chore", 1) },
		`SELECT 1 - count(*) FROM {state} WHERE key = 'chore'`},
	{"recording", func(ctx context.Context, m *clerksync.Mirror, p person) error {
		return m.Record(ctx, nil, clerksync.AuditEntry{Action: clerksync.AuditRefused, Kind: clerksync.Users, ObjectID: p.id(), Source: clerksync.Operator})
	}, `SELECT count(*) FROM {users} AS u WHERE NOT EXISTS (SELECT 1 FROM {audit} AS a WHERE a.object_id = u.id AND a.action = 'refused') AND u.id = $1`},
	{"applying", func(ctx context.Context, m *clerksync.Mirror, p person) error {
		next := person{word: leaver.word, born: p.born, key: p.key + " next"}
		evidence := []clerksync.Evidence{tells("msg_next_"+p.suffix(), clerksync.Users, next.id(), next.user(p.born), p.born)}
		for k, object := range next.belonging(p.born) {
			evidence = append(evidence, tells("msg_next_"+string(k)+p.suffix(), k, "", object, p.born))
		}
		_, err := m.Apply(ctx, evidence...)
		return err
	}, `SELECT 1 - count(*) FROM {users} WHERE id = $1 || '206e657874'`},
	{"dropping an event", func(ctx context.Context, m *clerksync.Mirror, p person) error {
		_, err := m.Drop(ctx, "msg_unread_"+p.suffix())
		return err
	}, `SELECT count(*) FROM {events} WHERE object_id = $1 AND outcome = 'quarantined'`},
	{"erasing", func(ctx context.Context, m *clerksync.Mirror, p person) error {
		_, err := m.Erase(ctx, clerksync.Erasure{Kind: clerksync.Users, ID: p.id(), Policy: clerksync.Hard, Source: clerksync.Operator})
		return err
	}, `SELECT count(*) FROM {users} WHERE id = $1 AND erased_at IS NULL`},
	{"pruning tombstones", func(ctx context.Context, m *clerksync.Mirror, p person) error {
		_, err := m.PruneTombstones(ctx)
		return err
	}, `SELECT count(*) FROM {users} WHERE erased_at IS NOT NULL`},
	{"pruning sessions", func(ctx context.Context, m *clerksync.Mirror, _ person) error {
		_, err := m.PruneSessions(ctx, time.Millisecond)
		return err
	}, `SELECT count(*) FROM {sessions} WHERE status = 'ended'`},
	{"pruning events", func(ctx context.Context, m *clerksync.Mirror, _ person) error {
		_, err := m.Prune(ctx, time.Millisecond)
		return err
	}, `SELECT count(*) FROM {events} WHERE outcome <> 'quarantined'`},
	{"pruning changes", func(ctx context.Context, m *clerksync.Mirror, _ person) error {
		_, err := m.PruneChanges(ctx, time.Millisecond, math.MaxInt64)
		return err
	}, `SELECT count(*) FROM {changes}`},
}

// TestChoresMeetFaults has each call of the database fail while a mirror is tidied up, and somebody leaves each time. Done again, it is
// done.
func TestChoresMeetFaults(t *testing.T) {
	t.Parallel()
	pgtest.BothFaulty(t, func(t *testing.T, db *pgtest.Faulty) {
		well, hooked := everything(t, db.Well), allOfIt
		hooked.Hooks = clerksync.Hooks{clerksync.Users: same(func(context.Context, *sqlx.Tx, clerksync.Transition) error { return nil })}
		ill := open(t, db.DB, hooked)
		start := time.Now().UnixMilli() - 200*day
		owner := admin(t, db.Well)
		var p person
		for _, c := range chores {
			round := 0
			meetFaults(t, db, c.name, func() func() error {
				for _, k := range allOfIt.Kinds { // few rows make few calls
					owner.MustExec(well.SQL(`DELETE FROM {` + string(k) + `}`))
				}
				round++
				p = person{word: leaver.word, born: start, key: fmt.Sprint(c.name, round)}
				p.arrive(t, well, start)
				unread := tells("msg_unread_"+p.suffix(), clerksync.Users, p.id(), nil, start)
				quarantine(&unread)
				apply(t, well, unread)
				p.leave(t, well, start+day)
				if c.name == "pruning tombstones" {
					p.erase(t, well, clerksync.Hard)
					erasedLongAgo(t, well)
				}
				return func() error { return c.do(t.Context(), ill, p) }
			})
			var args []any
			if strings.Contains(c.left, "$1") {
				args = append(args, p.id())
			}
			waitFor(t, c.name+" is done", func() bool { // what is a millisecond old may be pruned only then
				if err := c.do(t.Context(), ill, p); err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				return text(t, db.Well, well.SQL(c.left), args...) == "0"
			})
		}
	})
}

// TestNoSuchKind refuses what is asked about a kind that there is not, in each of the ways.
func TestNoSuchKind(t *testing.T) {
	t.Parallel()
	m := everything(t, pgtest.SQLite(t))
	const ghosts = clerksync.Kind("ghosts")
	for name, ask := range ofKind(ghosts) {
		if name == "returned" {
			continue // nothing belongs to what there is not
		}
		if got, err := ask(t.Context(), m); err == nil {
			t.Errorf("%s: answered %v", name, got)
		}
	}
	_, _, find := m.Find(t.Context(), ghosts, "id")
	_, tally := m.Tally(t.Context(), ghosts, 0, 1)
	_, erase := m.Erase(t.Context(), clerksync.Erasure{Kind: ghosts, ID: "id"})
	_, apply := m.Apply(t.Context(), clerksync.Evidence{Kind: ghosts, ID: "id", Source: clerksync.Webhook})
	for name, err := range map[string]error{"Find": find, "Tally": tally, "Erase": erase, "Apply": apply} {
		if err == nil {
			t.Errorf("%s took the kind", name)
		}
	}
	if results, err := m.Apply(t.Context()); results != nil || err != nil {
		t.Errorf("no evidence at all: %v, %v", results, err)
	}
	if ghosts.Resource() != "" || ghosts.Prefix() != "" || ghosts.Askable() || ghosts.Listed() || ghosts.ByID() || ghosts.Cursor() {
		t.Error("it is told something about a kind that there is not")
	}
}

// TestKinds tells of each kind what commands and reports say.
func TestKinds(t *testing.T) {
	t.Parallel()
	all := clerksync.Kinds()
	if len(all) != len(allOfIt.Kinds) {
		t.Fatalf("there are %v", all)
	}
	prefixes := map[string]clerksync.Kind{}
	for _, k := range all {
		if k.Resource() == "" || k.Prefix() == "" || k.Singular() == "" {
			t.Errorf("%s: resource %q, prefix %q, singular %q", k, k.Resource(), k.Prefix(), k.Singular())
		}
		if other, taken := prefixes[k.Prefix()]; taken {
			t.Errorf("%s and %s have ids that begin alike", k, other)
		}
		prefixes[k.Prefix()] = k
		if got, found := clerksync.KindOfID(k.Prefix() + "2abc"); !found || got != k {
			t.Errorf("%s2abc is of %s, %t", k.Prefix(), got, found)
		}
	}
	if k, found := clerksync.KindOfID("what_2abc"); found {
		t.Errorf("what_2abc is of %s", k)
	}
	if !clerksync.Users.Askable() {
		t.Error("Clerk cannot be asked for a user")
	}
}
