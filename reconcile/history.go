package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Past is a pass of the past, or one that is running: a row of the passes table. Its Unannounced is nil, since that is not kept, and
// its FinishedAt is zero while the pass runs, or if it was killed.
type Past struct {
	ID int64
	Report
}

// History returns the last n passes of each kind, the latest first within a kind, and after them the last complete one of that kind
// if it is none of these. Dry runs are left out. The error is clerksync.ErrUnavailable where the database cannot answer.
func History(ctx context.Context, m *clerksync.Mirror, n int) ([]Past, error) {
	const passes = ` FROM {passes} WHERE kind = $1 AND NOT dry_run `
	var all []Past
	for _, kind := range []Kind{Full, Delta, Late} {
		var rows []pastRow
		err := m.DB().SelectContext(ctx, &rows, m.SQL(`SELECT * FROM (SELECT `+pastColumns+passes+`ORDER BY started_at DESC, id DESC LIMIT $2) AS latest
UNION SELECT * FROM (SELECT `+pastColumns+passes+`AND complete ORDER BY started_at DESC, id DESC LIMIT 1) AS complete
ORDER BY started_at DESC, id DESC`), string(kind), n)
		if err != nil {
			return nil, fmt.Errorf("reading the last passes: %w: %w", clerksync.ErrUnavailable, err)
		}
		for _, r := range rows {
			past, err := r.past()
			if err != nil {
				return nil, fmt.Errorf("reading pass %d: %w", r.ID, err)
			}
			all = append(all, past)
		}
	}
	return all, nil
}
