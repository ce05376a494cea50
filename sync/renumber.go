package sync

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"
)

// renumber makes rows and the feed agree again where somebody has emptied a table by hand, or restored one of a backup: a row counts on
// from its object's last change, and without a row there are no changes, as [Mirror.removeRow] has it. Otherwise the feed refuses every
// further change of such an object, since it has one of that number. It reports whether there was anything to do.
func (m *Mirror) renumber(ctx context.Context, batch []*request) (done bool, err error) {
	err = m.inTransaction(ctx, func(tx *sqlx.Tx) error {
		for _, k := range kinds {
			ids := unsettled(batch, k)
			if len(ids) == 0 {
				continue
			}
			parameter, err := json.Marshal(ids)
			if err != nil {
				return err
			}
			told := `(SELECT max(version) FROM {changes} WHERE resource = '` + string(k.name) + `' AND object_id = r.id)`
			for _, query := range []string{
				`UPDATE {` + string(k.name) + `} AS r SET _version = ` + told + ` WHERE id IN ` + m.dialect.among() + ` AND _version < ` + told,
				`DELETE FROM {changes} WHERE resource = '` + string(k.name) + `' AND object_id IN ` + m.dialect.among() +
					` AND NOT EXISTS (SELECT 1 FROM {` + string(k.name) + `} AS r WHERE r.id = object_id)`,
			} {
				result, err := tx.ExecContext(ctx, m.SQL(query), string(parameter))
				if err != nil {
					return err
				}
				n, err := result.RowsAffected()
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
