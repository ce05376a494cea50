package sync_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
)

// setting opens a database whose sessions have a setting of their own, as the team may have made it the default.
func setting(t *testing.T, name, value string) *sqlx.DB {
	t.Helper()
	db := sqlx.MustOpen("postgres", pgtest.Direct(t)+"&options=-c"+name+"%3D"+strings.ReplaceAll(value, " ", "%5C%20"))
	t.Cleanup(func() { db.Close() })
	var got string
	if err := db.Get(&got, `SELECT current_setting($1)`, name); err != nil || got != value {
		t.Fatalf("%s is %q, %v; want %q", name, got, err, value)
	}
	return db
}

// TestHarden lets the database's default be one that loses what it has answered for, or one that waits for more than the disk,
// and looks at commits, as a deferred trigger sees them.
func TestHarden(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"off": "on", "local": "on", "on": "on", "remote_write": "remote_write", "remote_apply": "remote_apply"} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			db := setting(t, "synchronous_commit", value)
			admin(t, db).MustExec(`CREATE TABLE seen (id text, setting text);
GRANT ALL ON seen TO PUBLIC;
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO seen VALUES (NEW.id, current_setting('synchronous_commit')); RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER see AFTER INSERT ON clerk.users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION see()`)
			m := pinned(t, db)
			first, second := at(0, "a"), at(0, "b")
			second.ID = "user_2"
			apply(t, m, told(first, first.Updated))
			apply(t, m, read(second, second.Updated))
			var got []string
			if err := db.Select(&got, `SELECT setting FROM seen ORDER BY id`); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{want, want}, got); diff != "" {
				t.Errorf("at the commits of an event and of a read (-want +got):\n%s", diff)
			}
		})
	}
}
