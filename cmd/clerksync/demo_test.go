package main_test

import (
	"strings"
	"testing"

	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestDemoPostgres plays the demo in a database of one's own, twice, and refuses to play in the mirror of a real instance.
func TestDemoPostgres(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	for range 2 {
		stdout, _ := run(t, 0, nil, "demo", "--once", "--users", "100", "--database-url", url)
		if !strings.HasSuffix(stdout, "\nmirror = Clerk: 100 users, 0 differences\n") {
			t.Errorf("the demo ended otherwise:\n%s", stdout)
		}
	}
	connect(t, url).MustExec(`UPDATE clerk.state SET value = '{"id":"ins_2real"}' WHERE key = 'instance'`)
	_, stderr := run(t, 4, nil, "demo", "--once", "--database-url", url)
	if !strings.Contains(stderr, "ins_2real") {
		t.Errorf("the refusal does not name the instance: %s", stderr)
	}
}
