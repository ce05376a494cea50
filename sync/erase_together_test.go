package sync_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestEraseAmongCommits erases people while other transactions bring late evidence about them and what belongs to them, and in two
// processes at once. What arrived in the very moment of an erasure is found and erased after it, and then nothing is left.
func TestEraseAmongCommits(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m, other := everything(t, db), everything(t, db)
		start := long()
		people := make([]person, 12)
		for i := range people {
			people[i] = person{word: fmt.Sprintf("quokka%c", 'a'+i), born: start}
			people[i].arrive(t, m, start)
			people[i].leave(t, m, start+2*day)
		}
		var group errgroup.Group
		for _, mirror := range []*clerksync.Mirror{m, other} {
			group.Go(func() error {
				for _, p := range people {
					if _, err := mirror.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: p.id()}); err != nil {
						return err
					}
				}
				return nil
			})
			group.Go(func() error {
				for n := range 3 {
					for _, p := range people {
						at := start + int64(n+1)*1000
						late := []clerksync.Evidence{tells(fmt.Sprint("msg_late", n, p.suffix()), clerksync.Users, p.id(), p.user(at), at)}
						for k, object := range p.belonging(at) {
							if k == clerksync.Sessions || k == clerksync.OrganizationMemberships {
								late = append(late, tells(fmt.Sprint("msg_late", n, k, p.suffix()), k, "", object, at))
							}
						}
						if _, err := mirror.Apply(t.Context(), late...); err != nil {
							return err
						}
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		ids, err := m.Returned(t.Context(), clerksync.Users, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("something came back to %d of %d", len(ids), len(people))
		for _, id := range ids {
			if _, err := m.Erase(t.Context(), clerksync.Erasure{Kind: clerksync.Users, ID: id}); err != nil {
				t.Fatal(err)
			}
		}
		if found := hits(t, m, "quokka"); len(found) > 0 {
			t.Errorf("%v is left", found)
		}
		checkVersions(t, m)
	})
}
