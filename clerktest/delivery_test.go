package clerktest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pipes"
)

// bubble runs a test in fake time: an instance, and a receiver it posts to.
func bubble(t *testing.T, config clerktest.Config, test func(t *testing.T, c *clerktest.Clerk, r *receiver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		there := pipes.Listen("receiver.example:80")
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return there.Dial(ctx) }}
		config.HTTPClient = &http.Client{Transport: transport}
		c, err := clerktest.New(config)
		if err != nil {
			t.Fatal(err)
		}
		r := newReceiver(t, c)
		server := &http.Server{Handler: r}
		go func() {
			if err := server.Serve(there); !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("serving: %v", err)
			}
		}()
		c.SetWebhookURL("http://receiver.example/")
		test(t, c, r)
		c.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A refused message is tried on Svix's schedule, under one id, freshly signed.
func TestRetrySchedule(t *testing.T) {
	t.Parallel()
	bubble(t, clerktest.Config{}, func(t *testing.T, c *clerktest.Clerk, r *receiver) {
		r.answer = func(w http.ResponseWriter, attempt int) { w.WriteHeader([]int{500, 404, 302, 429}[attempt%4]) }
		create(t, c, clerktest.Fields{})
		counts, err := c.Wait(t.Context())
		check(t, err)
		if want := (clerktest.Counts{Sent: 1, Failed: 1, Attempts: 8}); counts != want {
			t.Errorf("got %+v, want %+v", counts, want)
		}
		var pauses []time.Duration
		all := r.all()
		for i := range all[1:] {
			pauses = append(pauses, all[i+1].at.Sub(all[i].at))
			if all[i].id != all[0].id {
				t.Errorf("attempt %d has id %s, want %s", i, all[i].id, all[0].id)
			}
		}
		want := []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour}
		if diff := cmp.Diff(want, pauses); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
	})
}

// A clock that is an hour ahead dates the event, and not its delivery, which the
// receiver verifies. Skew moves both.
func TestAdvancedClockLeavesDeliveriesVerifiable(t *testing.T) {
	t.Parallel()
	var clock clerktest.Clock
	bubble(t, clerktest.Config{Now: clock.Now}, func(t *testing.T, c *clerktest.Clerk, r *receiver) {
		clock.Advance(time.Hour)
		for i, skew := range []time.Duration{0, -time.Minute} {
			check(t, c.SetFaults(clerktest.Faults{Skew: skew}))
			create(t, c, clerktest.Fields{})
			_, err := c.Wait(t.Context())
			check(t, err)
			told := time.Now().Add(skew)
			a := r.all()[i]
			if want := strconv.FormatInt(told.Unix(), 10); a.signed != want || a.envelope.Timestamp != told.Add(time.Hour).UnixMilli() {
				t.Errorf("with a skew of %v: signed at %s, want %s; the event is of %d", skew, a.signed, want, a.envelope.Timestamp)
			}
		}
	})
}

func TestScaledRetryAndLateSuccess(t *testing.T) {
	t.Parallel()
	bubble(t, clerktest.Config{RetryScale: 0.001}, func(t *testing.T, c *clerktest.Clerk, r *receiver) {
		r.answer = func(w http.ResponseWriter, attempt int) {
			if attempt == 1 {
				time.Sleep(16 * time.Second) // beyond Svix's time-out
			}
			if attempt == 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
		start := time.Now()
		create(t, c, clerktest.Fields{})
		counts, err := c.Wait(t.Context())
		check(t, err)
		if want := (clerktest.Counts{Sent: 1, Delivered: 1, Attempts: 3}); counts != want {
			t.Errorf("got %+v, want %+v", counts, want)
		}
		if want := 15*time.Second + 5*time.Millisecond + 300*time.Millisecond; time.Since(start) != want {
			t.Errorf("delivered after %v, want %v", time.Since(start), want)
		}
		time.Sleep(time.Minute) // fake time, for the first attempt's handler
	})
}

func TestAbortedMessageIsNotRetried(t *testing.T) {
	t.Parallel()
	bubble(t, clerktest.Config{}, func(t *testing.T, c *clerktest.Clerk, r *receiver) {
		r.answer = func(w http.ResponseWriter, _ int) {
			w.Header().Set("webhook-delivery", "abort-message")
			w.WriteHeader(http.StatusBadRequest)
		}
		create(t, c, clerktest.Fields{})
		counts, err := c.Wait(t.Context())
		check(t, err)
		if want := (clerktest.Counts{Sent: 1, Failed: 1, Attempts: 1}); counts != want {
			t.Errorf("got %+v, want %+v", counts, want)
		}
		if m := c.Messages()[0]; m.Code != http.StatusBadRequest || m.Status != "failed" || m.Type != "user.created" {
			t.Errorf("got the message %+v", m)
		}
	})
}

// A redirect is a failure and is not followed.
func TestRedirectFails(t *testing.T) {
	t.Parallel()
	bubble(t, clerktest.Config{RetryScale: 0.001}, func(t *testing.T, c *clerktest.Clerk, r *receiver) {
		r.answer = func(w http.ResponseWriter, _ int) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
		create(t, c, clerktest.Fields{})
		counts, err := c.Wait(t.Context())
		check(t, err)
		if len(r.all()) != 8 || counts.Failed != 1 || c.Messages()[0].Code != http.StatusTemporaryRedirect {
			t.Errorf("got %d arrivals, %+v", len(r.all()), counts)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	bubble(t, clerktest.Config{}, func(t *testing.T, c *clerktest.Clerk, r *receiver) {
		r.answer = func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusInternalServerError) }
		create(t, c, clerktest.Fields{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		counts, err := c.Wait(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || counts.Pending != 1 || counts.Attempts != 2 ||
			!strings.Contains(err.Error(), "1 pending, first user.created "+c.Messages()[0].ID+", posted 2 times, last answered 500") {
			t.Errorf("got %+v, %v, want one pending message after two attempts", counts, err)
		}
	})
}

// A wait that cannot end well says why: the usual mistakes are in the test itself.
func TestWaitSaysWhy(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"127.0.0.1:3000/hooks", "/api/webhooks/clerk", "localhost:3000/hooks"} {
		if _, err := clerktest.New(clerktest.Config{WebhookURL: url}); err == nil || !strings.Contains(err.Error(), "not like") {
			t.Errorf("the webhook URL %q: error %v", url, err)
		}
	}
	c, err := clerktest.New(clerktest.Config{})
	check(t, err)
	defer c.Close()
	if err := c.SetEndpoints(clerktest.Endpoint{}); err == nil || len(c.Endpoints()) != 0 {
		t.Errorf("an endpoint without a URL: error %v", err)
	}
	c.SetWebhookURL("localhost:3000/hooks")
	c.Hold()
	create(t, c, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Wait(ended); err == nil || !strings.Contains(err.Error(), "posted 0 times, held until Release") {
		t.Errorf("while held: %v", err)
	}
	c.Release()
	deadline := time.Now().Add(20 * time.Second)
	for c.State().Events.Attempts == 0 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if _, err := c.Wait(ended); err == nil || !strings.Contains(err.Error(), "without an answer (") || !strings.Contains(err.Error(), "unsupported protocol scheme") {
		t.Errorf("with a URL that cannot be posted to: %v", err)
	}
	c.Close()
	if counts, err := c.Wait(t.Context()); err == nil || counts.Pending != 1 || !strings.Contains(err.Error(), "closed") {
		t.Errorf("closed: %+v, %v", counts, err)
	}
}

func TestReorderedMessageIsOvertaken(t *testing.T) {
	t.Parallel()
	bubble(t, clerktest.Config{Concurrency: 1}, func(t *testing.T, c *clerktest.Clerk, r *receiver) {
		id := create(t, c, clerktest.Fields{})
		check(t, c.SetFaults(clerktest.Faults{Reorder: 1}))
		check(t, c.BanUser(id))
		synctest.Wait() // an earlier event that arrives now does not count
		check(t, c.SetFaults(clerktest.Faults{}))
		check(t, c.UnbanUser(id))
		_, err := c.Wait(t.Context())
		check(t, err)
		var banned []any
		for _, a := range r.all() {
			banned = append(banned, a.envelope.Data["banned"])
		}
		if diff := cmp.Diff([]any{false, false, true}, banned); diff != "" {
			t.Errorf("banned in the order of arrival (-want +got):\n%s", diff)
		}
		// With nothing to overtake it, it comes all the same.
		check(t, c.SetFaults(clerktest.Faults{Reorder: 1}))
		check(t, c.DeleteUser(id))
		if counts, err := c.Wait(t.Context()); err != nil || counts.Delivered != 4 {
			t.Errorf("got %+v, %v, want 4 delivered", counts, err)
		}
	})
}

// TestAllReordered delays every event: they overtake each other, since nothing else does.
func TestAllReordered(t *testing.T) {
	t.Parallel()
	bubble(t, clerktest.Config{Concurrency: 1}, func(t *testing.T, c *clerktest.Clerk, r *receiver) {
		check(t, c.SetFaults(clerktest.Faults{Reorder: 1}))
		id := create(t, c, clerktest.Fields{})
		check(t, c.BanUser(id))
		check(t, c.DeleteUser(id))
		_, err := c.Wait(t.Context())
		check(t, err)
		var types []string
		for _, a := range r.all() {
			types = append(types, a.envelope.Type)
		}
		if diff := cmp.Diff([]string{"user.deleted", "user.updated", "user.created"}, types); diff != "" {
			t.Errorf("the order of arrival (-want +got):\n%s", diff)
		}
	})
}

func TestDropDuplicateAndResend(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Faults: clerktest.Faults{Drop: 1}})
	r := receive(t, c)
	lost := create(t, c, clerktest.Fields{})
	if counts := wait(t, c); counts != (clerktest.Counts{Sent: 1, Dropped: 1}) || len(r.all()) != 0 {
		t.Fatalf("got %+v and %d arrivals, want one dropped message", counts, len(r.all()))
	}
	check(t, c.SetFaults(clerktest.Faults{Duplicate: 1}))
	check(t, c.BanUser(lost))
	if counts := wait(t, c); counts != (clerktest.Counts{Sent: 2, Dropped: 1, Delivered: 1, Attempts: 2}) {
		t.Errorf("got %+v after a duplicate", counts)
	}
	if all := r.all(); len(all) != 2 || all[0].id != all[1].id {
		t.Errorf("got %d arrivals, want one message twice", len(all))
	}
	if n := c.Resend("failed", time.Time{}); n != 0 {
		t.Errorf("resent %d failed messages, want none", n)
	}
	if n := c.Resend("missing", time.Now().Add(time.Hour)); n != 0 {
		t.Errorf("resent %d messages of the future, want none", n)
	}
	if n := c.Resend("missing", time.Time{}); n != 1 {
		t.Errorf("resent %d missing messages, want one", n)
	}
	if counts := wait(t, c); counts != (clerktest.Counts{Sent: 2, Delivered: 2, Attempts: 3}) {
		t.Errorf("got %+v after resending", counts)
	}
	if n := c.Resend("all", time.Time{}); n != 2 {
		t.Errorf("resent %d of all messages, want 2", n)
	}
	wait(t, c)
	ids := map[string]int{}
	for _, a := range r.all() {
		ids[a.id]++
	}
	if len(r.all()) != 5 || len(ids) != 2 {
		t.Errorf("got %d arrivals of %d ids, want 5 of 2", len(r.all()), len(ids))
	}
}

// An event that is overtaken can come twice like any other.
func TestReorderedMessageIsDoubled(t *testing.T) {
	t.Parallel()
	bubble(t, clerktest.Config{Faults: clerktest.Faults{Reorder: 1, Duplicate: 1}}, func(t *testing.T, c *clerktest.Clerk, r *receiver) {
		create(t, c, clerktest.Fields{})
		if counts, err := c.Wait(t.Context()); err != nil || counts != (clerktest.Counts{Sent: 1, Delivered: 1, Attempts: 2}) {
			t.Errorf("got %+v, %v, want one message delivered twice", counts, err)
		}
	})
}

func TestHoldEndpointsAndSilence(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{})
	id := create(t, c, clerktest.Fields{})
	if n := len(c.Messages()); n != 0 {
		t.Errorf("%d messages without a webhook URL", n)
	}
	r := receive(t, c)
	c.Hold()
	for range 50 {
		check(t, c.UpdateUser(id, clerktest.Fields{}))
	}
	if counts := c.State().Events; counts.Pending != 50 || len(r.all()) != 0 {
		t.Errorf("got %+v while held", counts)
	}
	c.Release()
	if counts := wait(t, c); counts.Delivered != 50 {
		t.Errorf("got %+v after Release", counts)
	}
	if err := c.SetEndpoints(clerktest.Endpoint{URL: "http://127.0.0.1:1", Secret: "whsec_c2hvcnQ="}); err == nil {
		t.Error("a signing secret of 5 bytes was accepted")
	}
	c.SetWebhookURL("")
	check(t, c.UpdateUser(id, clerktest.Fields{}))
	if n := len(c.Messages()); n != 50 {
		t.Errorf("%d messages after the URL was taken away, want 50", n)
	}
}

// During a rotation two endpoints get every message under one id, each with its
// own signature.
func TestTwoEndpoints(t *testing.T) {
	t.Parallel()
	old := instance(t, clerktest.Config{Seed: 1})
	fresh := instance(t, clerktest.Config{Seed: 2})
	first, second := receive(t, old), receive(t, fresh)
	urls := []string{}
	for _, c := range []*clerktest.Clerk{old, fresh} {
		urls = append(urls, c.Endpoints()[0].URL)
	}
	check(t, old.SetEndpoints(clerktest.Endpoint{URL: urls[0]}, clerktest.Endpoint{URL: urls[1], Secret: fresh.WebhookSecret()}))
	create(t, old, clerktest.Fields{})
	if counts := wait(t, old); counts != (clerktest.Counts{Sent: 1, Delivered: 1, Attempts: 2}) {
		t.Errorf("got %+v", counts)
	}
	if a, b := first.all(), second.all(); len(a) != 1 || len(b) != 1 || a[0].id != b[0].id {
		t.Errorf("got %d and %d arrivals, want the same one", len(a), len(b))
	}
}

// Faults are drawn from the seed: the same history loses the same events.
func TestFaultsAreSeeded(t *testing.T) {
	t.Parallel()
	history := func(seed uint64) (missing []int) {
		c := instance(t, clerktest.Config{Seed: seed, Faults: clerktest.Faults{Drop: 0.3}})
		receive(t, c)
		for range 200 {
			create(t, c, clerktest.Fields{})
		}
		wait(t, c)
		for i, m := range c.Messages() {
			if m.Status == "missing" {
				missing = append(missing, i)
			}
		}
		return missing
	}
	a, b, other := history(1), history(1), history(2)
	if !slices.Equal(a, b) || slices.Equal(a, other) {
		t.Errorf("seed 1 lost %v, then %v; seed 2 lost %v", a, b, other)
	}
	if len(a) < 30 || len(a) > 90 {
		t.Errorf("lost %d of 200 events at a probability of 0.3", len(a))
	}
}
