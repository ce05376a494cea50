package pgtest

import (
	"context"
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

// Options of a cluster. The zero value is one for tests.
type Options struct {
	// Durable makes the server wait for the disk as it does in production. The zero value loses data when the machine crashes,
	// never when the server does.
	Durable bool
	// Settings are server settings, "name=value".
	Settings []string
}

// Cluster is a PostgreSQL server with a folder of its own, on a free port of the loopback address and on a Unix socket, where
// everybody is the superuser "postgres". On Linux it dies with the process that started it. Its methods are for one goroutine.
type Cluster struct {
	dir     string
	folder  *os.File // open for as long as dir is ours
	port    int
	bin     string
	owner   *syscall.Credential
	options Options
	*child  // the server
}

// Start makes a cluster and returns when it answers. The caller must [Cluster.Stop] it.
func Start(o Options) (*Cluster, error) {
	bin, err := findServer()
	if err != nil {
		return nil, err
	}
	owner, err := serverOwner()
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, owner: owner, options: o}
	return c.begin("making the database files", "initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
}

// begin has a program make the database files, and starts the server on a port that is free.
func (c *Cluster) begin(doing, program string, args ...string) (*Cluster, error) {
	err := c.create(doing, program, args...)
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	for range 5 { // another process may take the free port before the server does
		if c.port, err = freePort(); err != nil {
			break
		}
		if err = c.Restart(); err == nil {
			return c, nil
		}
	}
	return nil, errors.Join(err, c.remove())
}

// create makes the folder and has a program make the database files in it.
func (c *Cluster) create(doing, program string, args ...string) error {
	var err error
	if c.folder, err = makeFolder(); err != nil {
		return err
	}
	c.dir = c.folder.Name()
	if c.owner != nil {
		if err := os.Chown(c.dir, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			return err
		}
	}
	if out, err := c.command(program, append([]string{"-D", c.data()}, args...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", doing, err, out)
	}
	return nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	return cmd
}

// Restart starts the server again after [Cluster.Kill], on the same port and with the same data, and returns when it answers.
func (c *Cluster) Restart() error {
	args := []string{
		"-D", c.data(), "-k", c.dir, "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "max_connections=300", "-c", "shared_buffers=64MB",
	}
	if !c.options.Durable {
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for _, setting := range c.options.Settings {
		args = append(args, "-c", setting)
	}
	log, err := os.Create(c.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	server := c.command("postgres", args...)
	server.Stdout, server.Stderr = log, log
	endWithParent(server.SysProcAttr)
	if c.child, err = launch(server); err != nil {
		return err
	}
	if err := c.await(); err != nil {
		return errors.Join(err, c.end(syscall.SIGQUIT))
	}
	return nil
}

// await polls until the server answers.
func (c *Cluster) await() error {
	db, err := sql.Open("postgres", c.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.exited:
			log, _ := os.ReadFile(c.logFile())
			return fmt.Errorf("the server ended while starting:\n%s", log)
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server: %w", err)
		}
	}
}

func (c *Cluster) logFile() string { return filepath.Join(c.dir, "log") }

// URL returns the address of a database of this cluster, over TCP.
func (c *Cluster) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
		Path: database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Socket returns the folder of the Unix socket and the port that its name carries.
func (c *Cluster) Socket() (folder string, port int) { return c.dir, c.port }

// PID returns the id of the server's first process, the parent of all others.
func (c *Cluster) PID() int { return c.process.Pid }

// Command returns a command that runs one of the server's programs, as the user that the server runs as.
func (c *Cluster) Command(name string, args ...string) *exec.Cmd { return c.command(name, args...) }

// Kill ends the server at once, as a crash would. [Cluster.Restart] recovers it.
func (c *Cluster) Kill() error { return c.end(syscall.SIGQUIT) }

// Stop ends the server and removes its files.
func (c *Cluster) Stop() error { return errors.Join(c.end(syscall.SIGQUIT), c.remove()) }

func (c *Cluster) remove() error {
	if c.folder == nil {
		return nil
	}
	return errors.Join(os.RemoveAll(c.dir), c.folder.Close())
}
