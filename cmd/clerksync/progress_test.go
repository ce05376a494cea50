package main_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	main "github.com/clerksync/clerksync/cmd/clerksync"
	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/reconcile"
)

// TestProgressTold walks 100,000 users at 1,000 a second, of which another process had seen the first 40,000, where nothing can be drawn over.
func TestProgressTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		show, told := main.Progress(&out)
		p := reconcile.Progress{Kind: clerksync.Users, Seen: 40_000, Total: 100_000, Started: time.Now().Add(-time.Hour)}
		for range 25 {
			show(p)
			time.Sleep(time.Second)
			p.Seen += 1000
		}
		show(reconcile.Progress{Kind: clerksync.Organizations, Seen: 1, Total: 2, Started: time.Now()})
		want := []string{"users 50000 of 100000, 50s left, 1000 a second", "users 60000 of 100000, 40s left, 1000 a second"}
		if diff := cmp.Diff(want, told()); diff != "" || out.Len() > 0 {
			t.Errorf("(-want +got): %q\n%s", &out, diff)
		}
	})
}

// TestProgressDrawn leaves out of the bar's line what it has no room for, beginning with what matters least.
func TestProgressDrawn(t *testing.T) {
	t.Parallel()
	p := reconcile.Progress{Kind: clerksync.Users, Seen: 41_000, Total: 100_000}
	for width, want := range map[int]string{
		200: "████████████████░░░░░░░░░░░░░░░░░░░░░░░░ users 41000 of 100000, 1m58s left, 500 a second",
		79:  "████████████░░░░░░░░░░░░░░░░░░░ users 41000 of 100000, 1m58s left, 500 a second",
		39:  "users 41000 of 100000, 1m58s left",
		20:  "users 41000 of 10000",
		0:   "",
	} {
		got := main.Draw(p, 40_000, 2*time.Second, width)
		if got != want || utf8.RuneCountInString(got) > width {
			t.Errorf("%d characters wide: %q, want %q", width, got, want)
		}
	}
	p.Total = 0 // as while Clerk does not count
	if got := main.Draw(p, 0, 0, 40); !strings.HasPrefix(got, "█") || !strings.HasSuffix(got, " users 41000 of 41000") {
		t.Errorf("without a total: %q", got)
	}
}

// TestFold folds lines of tables and text.
func TestFold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		width      int
		line, want string
	}{
		{0, "as long as it is", "as long as it is"},
		{16, "as long as it is", "as long as it is"},
		{15, "as long as it is", "as long as it\n  is"},
		{30, "name      what is said of it at some length", "name      what is said of it\n          at some length"},
		{16, "long name      what is said", "long name  what\n  is said"},
		{20, "   --flag  what it is for", "   --flag  what it\n   is for"},
		{12, "see user_2b6fcd92dvf96q05x now", "see\n  user_2b6fcd92dvf96q05x\n  now"},
		{10, "\x1b[31mred\x1b[0m and bare", "\x1b[31mred\x1b[0m and\n  bare"},
	} {
		if got := main.Fold(c.line, c.width); got != c.want {
			t.Errorf("%d characters wide: %q, want %q", c.width, got, c.want)
		}
	}
}
