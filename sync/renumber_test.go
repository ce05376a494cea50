package sync_test

import (
	"fmt"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestRowsRemovedByHand fills a table again that somebody has emptied, and one that a backup has given back as it was before.
func TestRowsRemovedByHand(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		ids := people(t, m, 120)
		var page []clerksync.Evidence
		for i, id := range ids {
			page = append(page, read(user{ID: id, Updated: past + hour, Name: fmt.Sprint(i)}, past+hour))
		}
		apply(t, m, page...)

		admin(t, db).MustExec(m.SQL(`UPDATE {users} SET _version = 1, _updated_at = _updated_at - 1, _alive_at = _alive_at - 1 WHERE id <= $1`), ids[39])
		admin(t, db).MustExec(m.SQL(`DELETE FROM {users} WHERE id > $1`), ids[39])
		apply(t, m, told(user{ID: ids[0], Updated: past + 2*hour, Name: "back"}, past+2*hour), told(user{ID: ids[40], Updated: past + 2*hour, Name: "back"}, past+2*hour))
		for i := range page {
			page[i] = read(user{ID: ids[i], Updated: past + 3*hour, Name: fmt.Sprint(i, " again")}, past+3*hour)
		}
		for i, r := range apply(t, m, page...) {
			want := clerksync.Created
			if i <= 40 {
				want = clerksync.Updated
			}
			if r.Outcome != want {
				t.Errorf("%s is %+v, want it %s", ids[i], r, want)
			}
		}
		checkVersions(t, m)
	})
}
