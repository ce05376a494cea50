package pgtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

var errNoServer = errors.New(`there is no PostgreSQL server on this machine, and these tests need one. Install it:

	sudo apt-get install -y postgresql

or set PG_BIN to the folder that holds initdb and postgres`)

// findServer returns the folder of initdb and postgres: $PG_BIN, else the newest version that Debian's packages installed, else
// the one on the PATH.
func findServer() (string, error) {
	if bin := os.Getenv("PG_BIN"); bin != "" {
		if !hasServer(bin) {
			return "", fmt.Errorf("PG_BIN=%s holds no initdb and postgres", bin)
		}
		return bin, nil
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(installed, func(a, b string) int { return version(b) - version(a) })
	for _, bin := range installed {
		if hasServer(bin) {
			return bin, nil
		}
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil || !hasServer(filepath.Dir(initdb)) {
		return "", errNoServer
	}
	return filepath.Dir(initdb), nil
}

func hasServer(bin string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(bin, name)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

// version reads the major version from a folder such as /usr/lib/postgresql/17/bin.
func version(bin string) int {
	v, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return v
}

// serverOwner returns the user that the server runs as, or nil for our own: PostgreSQL refuses to run as root.
func serverOwner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		owner, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("finding a user for PostgreSQL to run as: %w", err)
	}
	uid, err := strconv.ParseUint(owner.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(owner.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
