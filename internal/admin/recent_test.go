package admin_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clerksync/clerksync/internal/admin"
)

// TestRecent reads once, however often it is asked within its time, and again after a failure.
func TestRecent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads, failure := 0, errors.New("no answer")
		recent := admin.Recent(func(context.Context) (admin.Status, error) {
			reads++
			return admin.Status{}, failure
		}, time.Minute)
		for _, c := range []struct {
			wait time.Duration
			err  error
			want int
		}{{0, failure, 1}, {0, nil, 2}, {59 * time.Second, failure, 2}, {time.Second, nil, 3}} {
			time.Sleep(c.wait)
			failure = c.err
			if _, err := recent(t.Context()); reads != c.want {
				t.Errorf("%d reads (%v), want %d", reads, err, c.want)
			}
		}
	})
}

// TestCostly counts for ten seconds each time: pages and scrapes that ask all the while keep nobody at it, nor wait for it but the first time.
func TestCostly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var counted atomic.Int64
		costly := admin.Costly(func(context.Context) (int, error) {
			n := int(counted.Add(1))
			time.Sleep(10 * time.Second)
			if n == 3 {
				return 0, errors.New("no answer")
			}
			return n, nil
		})
		begun, slowest := time.Now(), time.Duration(0)
		for time.Since(begun) < time.Hour {
			asked := time.Now()
			n, err := costly(t.Context())
			counts := int(counted.Load())
			if n < counts-1 && counts != 4 || err != nil {
				t.Fatalf("after %s %d (%v), and it has been counted %d times", time.Since(begun), n, err, counts)
			}
			if took := time.Since(asked); n > 1 {
				slowest = max(slowest, took)
			}
			time.Sleep(5 * time.Second)
		}
		if counts := counted.Load(); slowest > 2*time.Second || counts > 60*60/200+1 || counts < 10 {
			t.Errorf("within an hour it was counted %d times, and somebody waited %s", counts, slowest)
		}
	})
}

// TestCostlyFails counts for longer than a count may take, once it has been possible: that keeps nobody at it either, and what was counted
// before goes on being told.
func TestCostlyFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var counted atomic.Int64
		costly := admin.Costly(func(ctx context.Context) (int, error) {
			if counted.Add(1) == 1 {
				return 7, nil
			}
			<-ctx.Done()
			return 0, ctx.Err()
		})
		for begun := time.Now(); time.Since(begun) < time.Hour; time.Sleep(5 * time.Second) {
			if n, err := costly(t.Context()); n != 7 || err != nil {
				t.Fatalf("after %s %d, %v", time.Since(begun), n, err)
			}
		}
		if counts := counted.Load(); counts > 5 {
			t.Errorf("within an hour it was counted %d times, for a minute each", counts)
		}
	})
}

// TestRecentHangs asks a database that does not answer: nobody waits for the time-out of another, and who leaves takes nothing with them.
func TestRecentHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := true
		recent := admin.Recent(func(ctx context.Context) (int, error) {
			answers := time.After(2 * time.Second)
			if hangs {
				answers = nil
			}
			select {
			case <-answers:
				return 7, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}, time.Minute)
		began := time.Now()
		var failed atomic.Int32
		for range 20 { // open pages
			go func() {
				if _, err := recent(t.Context()); err != nil {
					failed.Add(1)
				}
			}()
		}
		scrape, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := recent(scrape); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("after %s a scrape got %v", time.Since(began), err)
		}
		time.Sleep(10 * time.Second)
		if synctest.Wait(); failed.Load() != 20 {
			t.Errorf("after %s %d of 20 pages have an answer", time.Since(began), failed.Load())
		}
		hangs = false
		left, leave := context.WithCancel(t.Context())
		go func() { _, _ = recent(left) }()
		synctest.Wait()
		leave()
		if v, err := recent(t.Context()); v != 7 || err != nil {
			t.Errorf("who stayed got %d, %v", v, err)
		}
	})
}

// TestPagesShareReads opens many pages and counts what they cost the database.
func TestPagesShareReads(t *testing.T) {
	t.Parallel()
	cfg := whole()
	board := cfg.Board
	var reads atomic.Int32
	cfg.Board = func(ctx context.Context) (admin.Board, error) {
		reads.Add(1)
		return board(ctx)
	}
	closing := make(chan struct{})
	cfg.Closing = closing
	server := httptest.NewServer(admin.NewHandler(cfg))
	defer server.Close()
	defer close(closing)
	began := time.Now()
	for range 20 {
		resp, err := http.Get(server.URL + "/live")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if lines := bufio.NewScanner(resp.Body); !lines.Scan() {
			t.Fatal("a page got nothing")
		}
	}
	if most := 1 + int32(time.Since(began)/(admin.SampleTime/2)); reads.Load() > most {
		t.Errorf("20 pages cost %d reads within %s, want at most %d", reads.Load(), time.Since(began), most)
	}
}
