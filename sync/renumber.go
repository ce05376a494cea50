package sync

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"
)

// renumber makes rows and the feed agree again where somebody has emptied a table by hand, or restored one of a backup: a row counts on
// from its object's last change, and without a row there are no changes, as [Mirror.remove] has it. Otherwise the feed refuses every
// further change of such an object, since it has one of that number. It is given the ids of objects by their kind, and reports whether
// there was anything to do.
func (m *Mirror) renumber(ctx context.Context, objects func(*kind) []string) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.commitTimeout())
	defer cancel()
	err = m.inTransaction(ctx, func(tx *sqlx.Tx) error {
		for _, k := range kinds {
			ids := objects(k)
			if len(ids) == 0 {
				continue
			}
			parameter, err := json.Marshal(ids)
			if err != nil {
				return err
			}
			told := `(SELECT object_id, max(version) AS version FROM {changes} WHERE ` + numbered(k) + ` AND object_id IN ` + m.dialect.among() + ` GROUP BY object_id)`
			for _, query := range []string{
				`UPDATE {` + string(k.name) + `} AS r SET _version = told.version FROM ` + told + ` AS told WHERE r.id = told.object_id AND r._version < told.version`,
				removing(k, m.dialect.among()) + ` AND NOT EXISTS (SELECT 1 FROM {` + string(k.name) + `} AS r WHERE r.id = object_id)`,
			} {
				n, err := m.affect(ctx, tx, query, string(parameter))
				if err != nil {
					return err
				}
				done = done || n > 0
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("renumbering rows: %w", err)
	}
	return done, nil
}

// numbered is a condition: a change is about an object of a kind, and the only one of its version. Only those are in the feed's index, and
// to look for others by the object would read all of the feed.
func numbered(k *kind) string { return `resource = '` + string(k.name) + `' AND op <> 'suspicious'` }

// removing is the beginning of the statement that removes the changes of some objects, and what is remarked about them, which comes right
// behind a change of theirs.
func removing(k *kind, ids string) string {
	own := ` FROM {changes} WHERE ` + numbered(k) + ` AND object_id IN ` + ids
	return `DELETE FROM {changes} WHERE seq IN (SELECT seq` + own + ` UNION ALL SELECT seq + 1` + own + `) AND resource = '` + string(k.name) + `' AND object_id IN ` + ids
}
