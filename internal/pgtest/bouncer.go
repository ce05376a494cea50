package pgtest

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Bouncer is a PgBouncer in transaction mode before a cluster. On Linux it dies with the process that started it.
type Bouncer struct {
	port    int
	program string
	config  string // its file
	cluster *Cluster
	*child
}

var errNoBouncer = errors.New("there is no pgbouncer on this machine, and PGTEST_BOUNCER asks for one: sudo apt-get install -y pgbouncer")

// StartBouncer starts a PgBouncer and returns when it answers. The caller must [Bouncer.Stop] it, before the cluster, in whose folder
// its files are.
func StartBouncer(c *Cluster) (*Bouncer, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !exists(program) {
			return nil, errNoBouncer
		}
	}
	b := &Bouncer{program: program, cluster: c, config: filepath.Join(c.dir, "pgbouncer.ini")}
	if b.port, err = freePort(); err != nil {
		return nil, err
	}
	users := filepath.Join(c.dir, "users.txt")
	text := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 5
max_client_conn = 2000
server_idle_timeout = 5
ignore_startup_parameters = extra_float_digits
`, c.port, b.port, users)
	roles := fmt.Sprintf("%q \"\"\n%q \"\"\n%q \"\"\n", "postgres", Daemon, Reader)
	if err := errors.Join(os.WriteFile(b.config, []byte(text), 0o644), os.WriteFile(users, []byte(roles), 0o644)); err != nil {
		return nil, err
	}
	if err := b.Restart(); err != nil {
		return nil, err
	}
	return b, nil
}

// Restart starts the bouncer again after [Bouncer.Stop], on the same port, and returns when it answers.
func (b *Bouncer) Restart() (err error) {
	cmd := exec.Command(b.program, "-q", b.config)
	cmd.Dir, cmd.SysProcAttr = b.cluster.dir, &syscall.SysProcAttr{Credential: b.cluster.owner}
	endWithParent(cmd.SysProcAttr)
	if b.child, err = launch(cmd); err != nil {
		return err
	}
	if err := b.await(b.cluster); err != nil {
		return errors.Join(err, b.Stop())
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// await polls until the cluster answers through the bouncer.
func (b *Bouncer) await(c *Cluster) error {
	address, err := b.Behind(c.URL("postgres"))
	if err != nil {
		return err
	}
	db, err := sql.Open("postgres", address)
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for pgbouncer: %w", err)
		}
	}
}

// Behind returns the address of the same database through the bouncer.
func (b *Bouncer) Behind(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port))
	return u.String(), nil
}

// Stop ends the bouncer at once.
func (b *Bouncer) Stop() error { return b.end(syscall.SIGTERM) }
