package pgtest

import (
	"errors"
	"fmt"
	"os"
)

// Standby makes a hot standby of a running cluster, which follows it until it is promoted (SELECT pg_promote()). The caller must
// [Cluster.Stop] it. The primary waits for it at commits only where synchronous_standby_names tells it to.
func (c *Cluster) Standby() (*Cluster, error) {
	s := &Cluster{bin: c.bin, owner: c.owner, options: c.options}
	var err error
	if s.folder, err = makeFolder(); err != nil {
		return nil, err
	}
	s.dir = s.folder.Name()
	if s.owner != nil {
		if err := os.Chown(s.dir, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			return nil, errors.Join(err, s.remove())
		}
	}
	copying := s.command("pg_basebackup", "-D", s.data(), "-d", c.URL("postgres"), "-R", "-X", "stream", "-c", "fast", "--no-sync")
	if out, err := copying.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("copying the primary: %w\n%s", err, out), s.remove())
	}
	if s.port, err = freePort(); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}
