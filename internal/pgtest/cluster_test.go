package pgtest_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/internal/pgtest"
)

func connect(t *testing.T, c *pgtest.Cluster) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func setting(t *testing.T, db *sql.DB, name string) string {
	t.Helper()
	var value string
	if err := db.QueryRow("SELECT current_setting($1)", name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestCommittedRowsOutliveAKill(t *testing.T) {
	t.Parallel()
	c := pgtest.Own(t, pgtest.Options{Durable: true, Settings: []string{"work_mem=5MB"}})
	db := connect(t, c)
	if fsync, memory := setting(t, db, "fsync"), setting(t, db, "work_mem"); fsync != "on" || memory != "5MB" {
		t.Errorf("fsync, work_mem = %s, %s, want on, 5MB", fsync, memory)
	}
	for _, query := range []string{"CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)"} {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(); err == nil {
		t.Error("the server answers after Kill")
	}
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	folder, port := c.Socket()
	local, err := sql.Open("postgres", fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable", folder, port))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	var n int
	if err := local.QueryRow("SELECT n FROM kept").Scan(&n); err != nil || n != 7 {
		t.Errorf("n = %d, %v, want 7", n, err)
	}
}

func TestStartWithoutServer(t *testing.T) {
	t.Setenv("PG_BIN", t.TempDir())
	if _, err := pgtest.Start(pgtest.Options{}); err == nil || !strings.Contains(err.Error(), "PG_BIN") {
		t.Errorf("Start = %v, want an error that names PG_BIN", err)
	}
}

// hostage is a process that starts a cluster, tells its address and never ends.
func hostage() {
	c, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	folder, _ := c.Socket()
	fmt.Println(c.URL("postgres"))
	fmt.Println(folder)
	select {}
}

func TestServerEndsWithAKilledTest(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PGTEST_HOSTAGE=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	address := lines.Text()
	lines.Scan()
	db, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	folder := lines.Text()
	poll(t, "the server ends without the test", func() bool { // with its last act
		_, err := os.Stat(filepath.Join(folder, "data", "postmaster.pid"))
		return db.Ping() != nil && os.IsNotExist(err)
	})

	// The next cluster, more than a minute later, removes the files.
	old := time.Now().Add(-2 * time.Minute)
	if err := os.Chtimes(folder, old, old); err != nil {
		t.Fatal(err)
	}
	living := pgtest.Own(t, pgtest.Options{})
	if fsync := setting(t, connect(t, living), "fsync"); fsync != "off" {
		t.Errorf("fsync = %s, want off", fsync)
	}
	poll(t, "the files go", func() bool { // another test may be at it
		_, err := os.Stat(folder)
		return os.IsNotExist(err)
	})
	home, _ := living.Socket()
	if err := os.Chtimes(home, old, old); err != nil {
		t.Fatal(err)
	}
	pgtest.Own(t, pgtest.Options{})
	if _, err := os.Stat(home); err != nil {
		t.Errorf("the folder of a living cluster: %v", err)
	}
}

func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("waiting in vain: ", what)
		}
	}
}
