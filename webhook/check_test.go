//go:build check

package webhook_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/internal/npmtest"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestOtherSigners lets libraries in another language, by other people, sign what the handler verifies. It needs node, npm and
// npm's registry.
func TestOtherSigners(t *testing.T) {
	t.Parallel()
	e := serve(t, pgtest.SQLite(t), clerksync.Config{})
	now := ms(time.Now())
	body := envelope("user.created", now, userJSON("user_1", now, `"first_name":"Ada"`))
	got := npmtest.Run(t, "testdata/post.cjs", []string{"ENDPOINT=" + e.server.URL, "SECRET=" + secret, "BODY=" + body}, "svix@2.5.0", "standardwebhooks@1.1.1")
	const want = "svix 204\nstandard 204\nunicode 204\naltered 401\nold 401\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if n := e.count("events", "id IN ('msg_svix', 'msg_standard', 'msg_unicode')"); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}
