package sync_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// biography is somebody's life as evidence: what was true before the deletion, in an order in which nothing is left of how it was.
type biography struct {
	*rand.Rand
	person
	left   int64 // when Clerk deleted the user
	number int
}

func (b *biography) message() string {
	b.number++
	return fmt.Sprintf("msg_%s_%d", b.suffix(), b.number)
}

// before is an instant of the time in which the user existed.
func (b *biography) before() int64 { return b.born + b.Int64N(b.left-b.born) }

// told is one piece of evidence of what was true before the deletion; all of it holds the word.
func (b *biography) told() clerksync.Evidence {
	at := b.before()
	switch b.IntN(9) {
	case 0, 1:
		return tells(b.message(), clerksync.Users, b.id(), b.user(at), at)
	case 2: // a read, up to one that a lagging replica answers after the deletion
		return saw(clerksync.Users, b.id(), b.user(at), at+b.Int64N(b.left+60_000-at))
	case 3: // what cannot be stored becomes null, and the rest is kept
		object := strings.Replace(string(b.user(at)), `"b":{"c":"`, `"b":{"c":"\u0000`, 1)
		return tells(b.message(), clerksync.Users, b.id(), []byte(object), at)
	case 4: // poison, in a list
		return saw(clerksync.Users, b.id(), fmt.Appendf(nil, `{"object":"user","id":%q,"first_name":"%s"}`, b.id(), b.word), at)
	case 5: // poison, told
		e := tells(b.message(), clerksync.Sessions, "sess_"+b.suffix(), b.belonging(at)[clerksync.Sessions], at)
		e.Event.Quarantine = "a test"
		return e
	case 6: // dated in the future
		return tells(b.message(), clerksync.Users, b.id(), b.user(at), time.Now().UnixMilli()+day)
	default:
		k := []clerksync.Kind{clerksync.OrganizationMemberships, clerksync.Sessions}[b.IntN(2)]
		return tells(b.message(), k, "", b.belonging(at)[k], at)
	}
}

// gone is a piece of evidence of the deletion.
func (b *biography) gone() clerksync.Evidence {
	if b.IntN(2) == 0 {
		return saw(clerksync.Users, b.id(), nil, b.left+3*60_000)
	}
	return tells(b.message(), clerksync.Users, b.id(), nil, b.left)
}

// live tells of a life in many commits, erases it at some point after the deletion was told, and goes on. Its error says what is left.
func (b *biography) live(t *testing.T, m *clerksync.Mirror) error {
	t.Helper()
	var early, late []clerksync.Evidence
	for k, object := range b.belonging(b.before()) {
		if strings.HasSuffix(string(k), "invitations") && b.IntN(2) == 0 { // one that nobody told before can be anybody's
			early = append(early, tells(b.message(), k, "", object, b.born))
		}
	}
	// Invitations are known to be the person's by what the user's row tells.
	early = append(early, tells(b.message(), clerksync.Users, b.id(), b.user(b.born), b.born))
	for range b.IntN(12) {
		early = append(early, b.told())
	}
	for range 1 + b.IntN(8) {
		late = append(late, b.told())
	}
	for range b.IntN(4) { // the same once more
		late = append(late, early[b.IntN(len(early))])
	}
	late = append(late, b.gone())
	b.Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
	b.commit(t, m, early)
	b.commit(t, m, []clerksync.Evidence{b.gone()})
	policy := []clerksync.Policy{clerksync.Anonymize, clerksync.Hard}[b.IntN(2)]
	cut := b.IntN(len(late))
	b.commit(t, m, late[:cut])
	done, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: b.id(), Policy: policy})
	if err != nil {
		return err
	}
	if left, err := m.Remnants(t.Context(), false, done); err != nil || len(left) > 0 {
		return fmt.Errorf("P6: %+v is left, by the mirror's own account; %v", left, err)
	}
	b.commit(t, m, late[cut:])
	if found := hits(t, m, b.word); len(found) > 0 {
		return fmt.Errorf("P6: the word is left in %v", found)
	}
	return b.heal(t, m, late)
}

// heal shows the user again, truly later than the deletion, and everything of before once more. Its error says what is missing.
func (b *biography) heal(t *testing.T, m *clerksync.Mirror, late []clerksync.Evidence) error {
	t.Helper()
	again := person{word: b.word + "again", born: b.born, key: b.word}
	at := b.left + 10*60_000
	news := []clerksync.Evidence{saw(clerksync.Users, b.id(), again.user(at), at+5*60_000)}
	session := tells(b.message(), clerksync.Sessions, "", again.belonging(at)[clerksync.Sessions], at)
	if b.IntN(2) == 0 { // in one commit with the user, or after
		news = append(news, session)
		session = tells(b.message(), clerksync.Roles, "role_1", nil, at)
	}
	apply(t, m, news...)
	b.commit(t, m, append(late, session))
	u, err := m.User(t.Context(), b.id())
	if err != nil || u.LastName == nil || *u.LastName != again.word {
		return fmt.Errorf("P7: the user came back as %+v, %v", u, err)
	}
	if got := values(t, m, clerksync.Sessions, "sess_"+b.suffix(), "city"); got != again.word {
		return fmt.Errorf("P7: the session came back in the city %q", got)
	}
	if got := values(t, m, clerksync.Users, b.id(), "erased_at", "data"); !strings.HasPrefix(got, "- {") || !strings.Contains(got, again.word) {
		return fmt.Errorf("P7: the user came back as %q", got)
	}
	return nil
}

// commit applies evidence in some commits.
func (b *biography) commit(t *testing.T, m *clerksync.Mirror, evidence []clerksync.Evidence) {
	t.Helper()
	for len(evidence) > 0 {
		n := 1 + b.IntN(min(4, len(evidence)))
		apply(t, m, evidence[:n]...)
		evidence = evidence[n:]
	}
}

// newBiography makes up one; the same seed makes the same one.
func newBiography(seed uint64) *biography {
	start := time.Now().UnixMilli() - 20*day
	return &biography{
		Rand: rand.New(rand.NewPCG(seed, 7)), person: person{word: fmt.Sprintf("quokka%x", seed), born: start}, left: start + 2*day,
	}
}

// TestErasedHistories is P6 and P7: once somebody was erased, nothing personal is in any column of any table, whatever is told later
// of before; and when Clerk has the user again, everything is back and the newest.
func TestErasedHistories(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m, tables := everything(t, db), admin(t, db)
		seed := rand.Uint64() >> 16
		for n := range uint64(biographies) {
			if err := newBiography(seed+n).live(t, m); err != nil {
				t.Fatalf("seed %d: %v", seed+n, err)
			}
			tidy(t, m, tables)
		}
	})
}

const biographies = 60

// tidy empties the tables, so that looking through them takes no longer each time.
func tidy(t *testing.T, m *clerksync.Mirror, db *sqlx.DB) {
	t.Helper()
	for _, table := range []string{"users", "organization_memberships", "sessions", "invitations", "organization_invitations", "events"} {
		if _, err := db.Exec(m.SQL(`DELETE FROM {` + table + `}`)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestErasureMutants breaks the statements in one way at a time. The histories must notice each.
func TestErasureMutants(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ property, from, to string }{
		"payloads move into hidden rows":         {"P6", " AND excluded._alive_at > max(r._dead_at, excluded._dead_at)", ""},
		"children do not ask about their parent": {"P6", "WHERE erased_at IS NOT NULL", "WHERE 1 = 0"},
		"nothing comes back":                     {"P7", "AND excluded.data IS NOT NULL", "AND r.erased_at IS NULL"},
		"an erased row stays erased":             {"P7", "erased_at    = CASE WHEN", "erased_at    = CASE WHEN 1 = 0 AND"},
	}
	for name, mutant := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := allOfIt
			cfg.Unprepared = true
			m := open(t, pgtest.SQLite(t), cfg)
			if !m.Mutate(mutant.from, mutant.to) {
				t.Fatal("no statement has what the mutant changes")
			}
			for n := range uint64(200) {
				if err := newBiography(n).live(t, m); err != nil {
					if !strings.HasPrefix(err.Error(), mutant.property) {
						t.Errorf("noticed as %v", err)
					}
					t.Logf("caught by history %d: %v", n, err)
					return
				}
				tidy(t, m, m.DB())
			}
			t.Error("no property noticed")
		})
	}
}
