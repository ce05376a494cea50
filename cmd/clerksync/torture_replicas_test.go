//go:build torture

package main_test

import (
	"sync"
	"testing"
	"time"
)

// The bounds of the torture of replicas.
const (
	killTime     = 2 * time.Minute
	killInterval = 5 * time.Second
	takeOver     = 20 * time.Second
)

// TestTortureReplicas kills the leader of three replicas every few seconds, or if none leads just now another one, and starts it again,
// under a stream of events and with passes running. In the end the mirror equals Clerk, and every change was delivered, in order. Then
// the leader is killed once more, and another one must lead soon.
func TestTortureReplicas(t *testing.T) {
	r := replicate(t, 3, "CLERKSYNC_POLL_INTERVAL=2s", "CLERKSYNC_RECONCILE_SCHEDULE=@every 10s")
	r.leader(0)
	stop, done := make(chan struct{}), make(chan error, 1)
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	go func() { done <- storm(r.clerk, 150*time.Millisecond, stop) }()
	tick := time.NewTicker(killInterval)
	defer tick.Stop()
	led := 0
	for begun := time.Now(); time.Since(begun) < killTime; <-tick.C {
		victim := r.daemons[0]
		for _, d := range r.daemons {
			if d.reigned() > victim.reigned() {
				victim = d
			}
		}
		if victim.reigned() > 0 {
			led++
		}
		r.without(victim)
		victim.kill()
		r.daemons = append(r.daemons, serve(t, r.clerk, r.env))
		r.balance()
	}
	end()
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	last := r.leader(0)
	r.without(last)
	begun := time.Now()
	last.kill()
	r.leader(last.reigned())
	took := time.Since(begun)
	t.Logf("%d leaders were killed within %s; after the last one another replica led within %s", led+1, killTime, took.Round(time.Millisecond))
	if took > takeOver {
		t.Errorf("another replica led after %s, want %s at most", took, takeOver)
	}
	r.wantAll()
}
