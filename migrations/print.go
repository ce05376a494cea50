package migrations

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Print writes plain SQL that makes all the tables and records their versions, so that [Up] has nothing left to do. It is one
// transaction, for an empty schema: psql and sqlite3 -bail leave nothing behind when a statement of it fails.
func Print(w io.Writer, o Options) error { return PrintAfter(w, o, 0) }

// PrintAfter is like [Print] for tables that are at a version already: it writes what comes after that one, and fails where they are at
// another. With 0 it writes all.
func PrintAfter(w io.Writer, o Options, version int64) error {
	t, err := o.tables()
	if err != nil {
		return err
	}
	if last := t.steps[len(t.steps)-1].Version; version < 0 || version >= last {
		return fmt.Errorf("no version comes after %d: the tables of this clerksync are at version %d", version, last)
	}
	run := "psql -v ON_ERROR_STOP=1 -f FILE"
	if t.dialect == SQLite {
		run = "sqlite3 -bail DATABASE < FILE"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "-- The tables of clerksync, for schema %q. Run it as a whole: %s\n\nBEGIN;\n\n", t.schema, run)
	if version == 0 {
		if err := t.printFile(&b, "versions.sql"); err != nil {
			return err
		}
	} else {
		b.WriteString(t.onlyAt(version))
	}
	for _, s := range t.steps {
		if s.Version <= version {
			continue
		}
		if err := t.printFile(&b, s.file); err != nil {
			return err
		}
		fmt.Fprintf(&b, "INSERT INTO %s (version_id, is_applied) VALUES (%d, true);\n\n", t.name("migrations"), s.Version)
	}
	b.WriteString("COMMIT;\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("printing migrations: %w", err)
	}
	return nil
}

// onlyAt is SQL that fails unless the tables are at a version: [Up] makes up for none that was left out.
func (t *tables) onlyAt(version int64) string {
	at := fmt.Sprintf("SELECT max(version_id) = %[1]d AND count(*) = %[1]d + 1 FROM %[2]s", version, t.name("migrations")) // and the zeroth
	if t.dialect == Postgres {
		return fmt.Sprintf(`DO $$ BEGIN IF (%s) IS NOT TRUE THEN
    RAISE EXCEPTION 'the tables are not at version %d: migrate status tells at which they are';
END IF; END $$;

`, at, version)
	}
	return fmt.Sprintf(`CREATE TABLE %[1]s (at BOOLEAN CONSTRAINT "the tables are not at version %[2]d" CHECK (at));
INSERT INTO %[1]s %[3]s;
DROP TABLE %[1]s;

`, `temp."`+t.schema+`_check"`, version, at)
}

// PrintRoles writes plain SQL for PostgreSQL that makes three roles and gives them their rights: an owner of the tables, a daemon
// that reads and writes rows, and a reader of the views. Their names begin with that of the schema: clerk_owner, clerk_daemon and
// clerk_reader. The tables must exist; it may be run again, and must be after each later migration.
func PrintRoles(w io.Writer, o Options) error {
	t, err := o.tables()
	if err != nil {
		return err
	}
	if t.dialect != Postgres {
		return fmt.Errorf("printing roles: %s has none: who may read the file may read the mirror", t.dialect)
	}
	b := bytes.NewBufferString("BEGIN;\nSET LOCAL client_min_messages = warning;\n" + ownFunctions + "\n")
	if err := t.printFile(b, "roles.sql"); err != nil {
		return err
	}
	b.WriteString("COMMIT;\n")
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("printing roles: %w", err)
	}
	return nil
}

// printFile leaves out the lines that are directions to goose.
func (t *tables) printFile(b *bytes.Buffer, file string) error {
	text, err := fs.ReadFile(t.files, file)
	if err != nil {
		return fmt.Errorf("reading migration %s: %w", file, err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "-- +goose") {
			b.WriteString(line)
		}
	}
	b.WriteByte('\n')
	return nil
}
