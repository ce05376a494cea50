//go:build torture

package main_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
)

// noticeTime bounds how long a daemon stays ready whose deliveries cannot be committed.
const noticeTime = 5 * time.Second

// ordeal is a daemon under a stream of events, whose database is ill again and again.
type ordeal struct {
	t      *testing.T
	rain   *rain
	daemon *daemon
	env    []string
	direct string // the address of the database when all is over

	unready, ready time.Duration // the longest
}

// endure begins an ordeal.
func endure(t *testing.T, database, direct string, more ...string) *ordeal {
	t.Helper()
	o := &ordeal{t: t, rain: pour(t, 50*time.Millisecond), direct: direct}
	o.env = environment(o.rain.clerk, database, append(more, "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")...)
	o.daemon = serve(t, o.rain.clerk, o.env)
	o.rain.answers.to(o.daemon.webhook)
	o.taken()
	return o
}

// taken waits until an event is answered 204.
func (o *ordeal) taken() {
	o.t.Helper()
	from := o.rain.answers.count()
	eventually(o.t, time.Minute, "events are taken", func() bool { return o.rain.answers.count() > from })
}

// round makes the database ill, waits until the daemon is not ready, and makes it well.
func (o *ordeal) round(what string, ail, cure func() error) {
	o.t.Helper()
	begun := time.Now()
	if err := ail(); err != nil {
		o.t.Fatal(what, ": ", err)
	}
	eventually(o.t, time.Minute, "not ready: "+what, func() bool {
		code, _ := get(o.t, o.daemon.admin+"/readyz")
		return code == http.StatusServiceUnavailable
	})
	o.unready = max(o.unready, time.Since(begun))
	eventually(o.t, time.Minute, "an event is answered 503: "+what, func() bool {
		return slices.ContainsFunc(o.rain.answers.since(begun.Add(-time.Minute)), func(d delivery) bool {
			return d.code == http.StatusServiceUnavailable && d.sent.Add(d.took).After(begun)
		})
	})
	if err := cure(); err != nil {
		o.t.Fatal(what, ": ", err)
	}
	begun = time.Now()
	o.taken()
	eventually(o.t, time.Minute, "ready again: "+what, func() bool { code, _ := get(o.t, o.daemon.admin+"/readyz"); return code == http.StatusOK })
	o.ready = max(o.ready, time.Since(begun))
}

// over ends the ordeal and judges it. lossy says that what was answered may be lost, since the database itself lost it.
func (o *ordeal) over(begun time.Time, lossy bool, run torture.Run) {
	t := o.t
	t.Helper()
	o.rain.end(t)
	db := connect(t, o.direct)
	v := o.rain.answers.check(t, db)
	run.Figures = v.figures(append([]torture.Figure{
		{Name: "not ready after, at most", Value: o.unready.Round(time.Millisecond).String(), Bound: noticeTime.String()},
		{Name: "well again after, at most", Value: o.ready.Round(time.Millisecond).String(), Bound: recoveryTime.String()},
	}, run.Figures...)...)
	if lossy {
		run.Figures[1].Name, run.Figures[1].Bound, v.lost = "of these lost by PostgreSQL, until the next pass", "", 0
	}
	v.want(t)
	o.daemon.kill()
	wantEqual(t, o.rain.clerk, db, environment(o.rain.clerk, o.direct))
	if o.unready > noticeTime {
		t.Errorf("the daemon stayed ready for %s, want %s at most", o.unready, noticeTime)
	}
	if o.ready > recoveryTime {
		t.Errorf("the daemon was well again after %s, want %s at most", o.ready, recoveryTime)
	}
	torture.Record(t, begun, run)
}

// TestTortureReadOnly makes the server a standby, which takes no writes, as a failover may, and promotes it again.
func TestTortureReadOnly(t *testing.T) {
	begun := time.Now()
	cluster := pgtest.Own(t, pgtest.Options{})
	address := cluster.URL("postgres")
	o := endure(t, address, address)
	rounds := torture.Size(t, 0, 20)
	for range rounds {
		o.round("read-only", func() error { demote(t, cluster); return nil }, func() error { promote(t, cluster); return nil })
	}
	o.over(begun, false, torture.Run{What: "Makes PostgreSQL a read-only standby in the middle of a stream of events, and promotes it again.", Size: fmt.Sprint(rounds, " times")})
}

// TestTortureBouncer stops PgBouncer and starts it again.
func TestTortureBouncer(t *testing.T) {
	begun := time.Now()
	cluster := pgtest.Own(t, pgtest.Options{})
	bouncer, behind := behindBouncer(t, cluster, "postgres")
	o := endure(t, behind, cluster.URL("postgres"), "CLERKSYNC_DB_PREPARE=off")
	rounds := torture.Size(t, 0, 20)
	for range rounds {
		o.round("no PgBouncer", bouncer.Stop, bouncer.Restart)
	}
	o.over(begun, false, torture.Run{What: "Stops PgBouncer, through which the daemon reaches PostgreSQL, and starts it again.", Size: fmt.Sprint(rounds, " times")})
}

// TestTortureFailover kills the primary and promotes its standby, which the daemon finds by itself.
func TestTortureFailover(t *testing.T) {
	for _, mode := range []string{"sync", "async"} {
		t.Run(mode, func(t *testing.T) {
			begun := time.Now()
			primary := pgtest.Own(t, pgtest.Options{})
			rounds := torture.Size(t, 0, 10)
			second := follow(t, primary, mode)
			o := endure(t, both(t, primary, second), second.URL("postgres"))
			for range rounds {
				old, next := primary, second
				o.round("failover", old.Crash, func() error {
					db := connect(t, next.URL("postgres"))
					_, err := db.Exec(`ALTER SYSTEM RESET synchronous_standby_names`)
					if err == nil {
						_, err = db.Exec(`SELECT pg_promote()`)
					}
					if err == nil {
						_, err = db.Exec(`SELECT pg_reload_conf()`)
					}
					return err
				})
				o.direct, primary = next.URL("postgres"), next
				o.daemon.kill() // a third server has another address
				second = follow(t, primary, mode)
				o.env = environment(o.rain.clerk, both(t, primary, second), "CLERKSYNC_RECONCILE_SCHEDULE=off", "CLERKSYNC_POLL_INTERVAL=0")
				o.daemon = serve(t, o.rain.clerk, o.env)
				o.rain.answers.to(o.daemon.webhook)
			}
			o.over(begun, mode == "async", torture.Run{
				What: "Kills the primary in the middle of a stream of events and promotes its standby (" + mode + "), which the daemon finds by itself.",
				Size: fmt.Sprint(rounds, " failovers"),
			})
		})
	}
}

// follow makes a standby, for which the primary waits or not.
func follow(t *testing.T, primary *pgtest.Cluster, mode string) *pgtest.Cluster {
	t.Helper()
	standby, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop() })
	if mode == "sync" {
		db := connect(t, primary.URL("postgres"))
		db.MustExec(`ALTER SYSTEM SET synchronous_standby_names = '*'`)
		db.MustExec(`SELECT pg_reload_conf()`)
		eventually(t, time.Minute, "the standby to follow", func() bool {
			return count(t, db, `SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'`) == 1
		})
	}
	return standby
}

// both is the address of whichever of two servers can be written to.
func both(t *testing.T, a, b *pgtest.Cluster) string {
	t.Helper()
	_, first := a.Socket()
	_, second := b.Socket()
	q := url.Values{"host": {"127.0.0.1,127.0.0.1"}, "port": {strconv.Itoa(first) + "," + strconv.Itoa(second)},
		"target_session_attrs": {"read-write"}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: q.Encode()}).String()
}

// TestTortureDiskFull fills the disk that holds PostgreSQL's data, and the one that holds its log of writes, and makes room again. It
// needs root, to mount file systems of its own.
func TestTortureDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("filling disks needs root: sudo make torture, or leave it out with -skip TestTortureDiskFull")
	}
	for _, what := range []string{"data", "pg_wal"} {
		t.Run(what, func(t *testing.T) {
			begun := time.Now()
			cluster := pgtest.Own(t, pgtest.Options{Settings: []string{"max_wal_size=64MB", "min_wal_size=32MB"}})
			disk := small(t, cluster, what)
			o := endure(t, cluster.URL("postgres"), cluster.URL("postgres"))
			rounds := torture.Size(t, 0, 20)
			for range rounds {
				o.round("no room for "+what, func() error { return fill(disk, cluster, what) }, func() error {
					if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
						return err
					}
					return revive(cluster)
				})
			}
			o.over(begun, false, torture.Run{What: "Fills the disk of PostgreSQL's " + what + " in the middle of a stream of events, and makes room again.",
				Size: fmt.Sprint(rounds, " times")})
		})
	}
}

// small moves the data of a cluster, or its log of writes, to a disk of its own, which has room for little more.
func small(t *testing.T, cluster *pgtest.Cluster, what string) (disk string) {
	t.Helper()
	home, _ := cluster.Socket()
	from, size := filepath.Join(home, "data", "base"), "64m"
	if what == "pg_wal" {
		from, size = filepath.Join(home, "data", "pg_wal"), "80m"
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(cluster.Kill())
	disk, err := os.MkdirTemp("", "clerksync-disk-*") // not the test's folder, into which PostgreSQL's user may not look
	must(err)
	t.Cleanup(func() { os.Remove(disk) })
	must(os.Chmod(disk, 0o755))
	must(syscall.Mount("tmpfs", disk, "tmpfs", 0, "mode=0777,size="+size))
	t.Cleanup(func() {
		_ = cluster.Kill()
		must(syscall.Unmount(disk, syscall.MNT_DETACH))
	})
	moved := filepath.Join(disk, filepath.Base(from))
	must(exec.CommandContext(t.Context(), "cp", "-a", from, moved).Run())
	must(os.RemoveAll(from))
	must(os.Symlink(moved, from))
	must(cluster.Restart())
	return disk
}

// fill leaves no room on a disk, and has the log of writes need some.
func fill(disk string, cluster *pgtest.Cluster, what string) error {
	file, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		return err
	}
	defer file.Close()
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = file.Write(block)
	}
	if what != "pg_wal" {
		return nil
	}
	db, err := sqlx.Open("postgres", cluster.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	for range 30 { // until the segments are used up that there are
		_, _ = db.Exec(`CREATE TABLE IF NOT EXISTS filler (n int); INSERT INTO filler VALUES (1); SELECT pg_switch_wal()`) // the server may be down by then
	}
	return nil
}

// revive starts a server again that a full disk ended.
func revive(cluster *pgtest.Cluster) error {
	db, err := sqlx.Open("postgres", cluster.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if db.Ping() == nil {
			return nil
		}
	}
	_ = cluster.Kill()
	return cluster.Restart()
}
