package main_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestDryRunPinsNothing compares an unpinned mirror with an instance, by the key and by CLERK_INSTANCE_ID. It still becomes that of
// another one, and only then is the first one refused.
func TestDryRunPinsNothing(t *testing.T) {
	t.Parallel()
	file := "sqlite:" + filepath.Join(t.TempDir(), "mirror.db")
	development, production := emulate(t, clerktest.Config{Users: 3, Seed: 1}), emulate(t, clerktest.Config{Users: 3, Seed: 2})
	env := environment(development, file)
	run(t, 0, env, "migrate", "up")
	for _, env := range [][]string{env, environment(development, file, "CLERK_INSTANCE_ID="+development.InstanceID())} {
		run(t, 5, env, "check")
		if out, _ := run(t, 0, env, "reconcile", "--dry-run"); !strings.Contains(out, development.InstanceID()) || !strings.Contains(out, "3 created") {
			t.Errorf("a dry run tells:\n%s", out)
		}
	}
	run(t, 0, environment(production, file), "reconcile")
	run(t, 4, env, "check")
	run(t, 4, environment(production, file, "CLERK_INSTANCE_ID=ins_other"), "check")
}

// TestInstances runs two daemons side by side that mirror two Clerk instances into one database, and receivers of their feeds: each
// keeps to its own tables.
func TestInstances(t *testing.T) {
	t.Parallel()
	for driver, table := range map[string]string{"postgres": "%s.", "sqlite": "%s_"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			users, passes := table+"active_users", table+"passes"
			database, address := "", ""
			if driver == "sqlite" {
				file := filepath.Join(t.TempDir(), "both.db")
				database, address = "sqlite:"+file, "file:"+file+"?_pragma=busy_timeout(10000)"
			} else {
				database = pgtest.Empty(t)
				address = database
			}
			db, err := sqlx.Open(driver, address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			schemas := []string{"clerk", "other_clerk"}
			var daemons []*daemon
			var receivers []*subscriber
			for i, schema := range schemas {
				clerk := emulate(t, clerktest.Config{Users: 5 + i, Seed: uint64(i + 1)})
				receivers = append(receivers, subscribe(t, 0))
				d := serve(t, clerk, environment(clerk, database, "CLERKSYNC_SCHEMA="+schema, "CLERKSYNC_PUBLISH="+receivers[i].URL+"#same",
					"CLERKSYNC_PUBLISH_SECRET="+publishSecret))
				clerk.SetWebhookURL(d.webhook)
				daemons = append(daemons, d)
			}
			for i, d := range daemons {
				eventually(t, 30*time.Second, "the backfill", func() bool {
					return count(t, db, "SELECT count(*) FROM "+fmt.Sprintf(passes, schemas[i])+" WHERE complete") > 0
				})
				id, err := d.clerk.CreateUser(clerktest.Fields{"first_name": "Ada"})
				if err != nil {
					t.Fatal(err)
				}
				eventually(t, 30*time.Second, "a mirror of its instance, and a message about its change", func() bool {
					got := receivers[i].messages()
					return count(t, db, "SELECT count(*) FROM "+fmt.Sprintf(users, schemas[i])) == 6+i && len(got) > 0 && got[len(got)-1].Subject == id
				})
			}
			for i, d := range daemons {
				d.signal(syscall.SIGTERM)
				d.wantExit(0, 25*time.Second)
				for _, m := range receivers[i].messages() {
					if m.Source != d.clerk.InstanceID() {
						t.Errorf("the receiver of %s got a change of %s", d.clerk.InstanceID(), m.Source)
					}
				}
				env := environment(d.clerk, database, "CLERKSYNC_SCHEMA="+schemas[i])
				run(t, 0, env, "check")
				if out, _ := run(t, 0, env, "status"); !strings.Contains(out, d.clerk.InstanceID()) {
					t.Errorf("the status of %s:\n%s", schemas[i], out)
				}
				run(t, 4, environment(d.clerk, database, "CLERKSYNC_SCHEMA="+schemas[1-i]), "check")
			}
		})
	}
}
