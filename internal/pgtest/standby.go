package pgtest

// Standby makes a hot standby of a running cluster, which follows it until it is promoted (SELECT pg_promote()). The caller must
// [Cluster.Stop] it. The primary waits for it at commits only where synchronous_standby_names tells it to.
func (c *Cluster) Standby() (*Cluster, error) {
	s := &Cluster{bin: c.bin, owner: c.owner, options: c.options}
	return s.begin("copying the primary", "pg_basebackup", "-d", c.URL("postgres"), "-R", "-X", "stream", "-c", "fast", "--no-sync")
}
