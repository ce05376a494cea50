package main_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
)

// TestNamesThatAreCommands has events name objects as somebody does who has the signing secret and hopes for an operator: neither a shell
// to which what a command advises is pasted, nor a program that shows the report in cells, does what the names say.
func TestNamesThatAreCommands(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{})
	database := "sqlite:" + filepath.Join(t.TempDir(), "mirror.db")
	env := environment(clerk, database, "CLERK_SECRET_KEY=", "CLERKSYNC_EVENT_PAYLOADS=none")
	d := serve(t, clerk, env)
	told := 0
	tell := func(id, event, data string) {
		t.Helper()
		told++
		name, _ := json.Marshal(id)
		body := fmt.Sprintf(`{"type":%q,"object":"event","timestamp":%d,"data":{"id":%s,"object":"user"%s}}`, event, time.Now().UnixMilli(), name, data)
		if code := signedBody(t, client, d.webhook, clerk.WebhookSecret(), fmt.Sprint("msg_", told), body); code != 204 {
			t.Fatalf("event %d is answered %d", told, code)
		}
	}

	advised := regexp.MustCompile(`(?s)clerksync resync (.*), then`)
	for _, id := range []string{"user_1", "user_$(echo gone)", "user_`echo gone`;'echo gone' & \\", "user_\"|x"} {
		tell(id, "user.updated", "")
		_, stderr := run(t, 1, env, "events", "retry", fmt.Sprint("msg_", told))
		word := advised.FindStringSubmatch(stderr)
		if word == nil {
			t.Fatalf("no command is advised: %s", stderr)
		}
		heard, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+word[1]).Output()
		if err != nil || string(heard) != id {
			t.Errorf("a shell hears %q (%v) where %s is advised, want %q", heard, err, word[1], id)
		}
	}

	formulas := []string{`=HYPERLINK("http://elsewhere.example","x")`, "+1+1", "-1+1", "@SUM(1)"}
	for _, id := range formulas {
		tell(id, "user.created", `,"created_at":1700000000000,"updated_at":1700000000000`)
		tell(id, "user.deleted", `,"deleted":true`)
	}
	stdout, _ := run(t, 0, env, "report", "deletions")
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil || len(rows) != len(formulas)+1 {
		t.Fatalf("%d rows, %v:\n%s", len(rows), err, stdout)
	}
	for i, id := range formulas {
		if got := rows[i+1][0]; got != "'"+id {
			t.Errorf("the report has %q, want it to begin with an apostrophe", got)
		}
	}
}
