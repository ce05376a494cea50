//go:build torture

package main_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
)

// The bounds and paces of the soak.
const (
	soakPause    = 80 * time.Millisecond // between four events: fifty a second
	faultPause   = 30 * time.Second
	faultTime    = 5 * time.Second
	samplePause  = time.Second
	mostSlope    = 1.0 // percent of memory an hour, held in runs of an hour or more
	moreRoutines = 5
)

// TestSoak lets a daemon work for a long time under a stream of events, with passes, logins and a fault every thirty seconds. What is alive
// in its memory does not grow, its goroutines end, and the mirror equals Clerk.
func TestSoak(t *testing.T) {
	seed, begun, span := torture.Seed(t), time.Now(), torture.Span(t, 0, time.Hour)
	rng := rand.New(rand.NewPCG(seed, 6))
	cluster := pgtest.Own(t, pgtest.Options{})
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop().Level(zerolog.Disabled))
	r := pour(t, soakPause)
	toPostgres, database := wire(t, server, "postgres", cluster.URL("postgres"))
	toClerk, clerk := wire(t, server, "clerk", r.clerk.URL())
	env := environment(r.clerk, database, "CLERK_API_URL="+clerk, "CLERKSYNC_POLL_INTERVAL=5s", "CLERKSYNC_RECONCILE_SCHEDULE=@every 1m",
		"CLERKSYNC_MAX_DELETE_PERCENT=100")
	d := serve(t, r.clerk, append(env, "CLERKSYNC_LOG_LEVEL=info"))
	quiet := d.goroutines()
	r.answers.to(d.webhook)
	stopLogins, logins := signInForEver(t, r.clerk, cluster.URL("postgres"))

	var resident, alive []sample
	var cures []func()
	faults := map[string]int{}
	nextFault, nextSample := begun.Add(faultPause), begun.Add(span/2)
	for time.Since(begun) < span {
		time.Sleep(100 * time.Millisecond)
		now := time.Now()
		if now.After(nextSample) {
			hours := now.Sub(begun).Hours()
			resident = append(resident, sample{hours, float64(residentMemory(t, d.cmd.Process.Pid))})
			if goal, told := d.metric("go_memstats_next_gc_bytes"); told {
				alive = append(alive, sample{hours, goal / 2})
			}
			if nextSample = now.Add(samplePause); len(resident)%60 == 0 {
				t.Logf("minute %d: resident %s, alive %s", len(resident)/60, spread(resident[len(resident)-60:]), spread(alive[max(0, len(alive)-60):]))
			}
		}
		if len(cures) > 0 && now.After(nextFault.Add(faultTime-faultPause)) {
			cures[0]()
			cures = nil
		}
		if now.After(nextFault) {
			nextFault = now.Add(faultPause)
			name, cure := aSoakFault(t, rng, cluster, toPostgres, toClerk, r.clerk)
			faults[name]++
			cures = append(cures, cure)
		}
	}
	for _, cure := range cures {
		cure()
	}
	if err := stopLogins(); err != nil {
		t.Error(err)
	}
	r.end(t)
	db := connect(t, cluster.URL("postgres"))
	v := r.answers.check(t, db)
	v.want(t)
	routines := 0
	eventually(t, 2*time.Minute, "the goroutines end", func() bool { routines = d.goroutines(); return routines <= quiet+moreRoutines })
	typical := median(resident)
	slope, residentSlope := 100*slopeOf(alive)/typical, 100*slopeOf(resident)/typical
	if span >= time.Hour && slope > mostSlope {
		t.Errorf("memory grew by %.2f %% an hour, want %.0f %% at most", slope, mostSlope)
	}
	peak := peakMemory(t, d.cmd.Process.Pid)
	d.kill()
	wantEqual(t, r.clerk, db, environment(r.clerk, cluster.URL("postgres")))
	torture.Record(t, begun, torture.Run{
		What: "Fifty events a second, a delta pass every 5 s, a full pass every minute, logins, and every 30 s a fault: a line made ill, a PostgreSQL killed, a Clerk that fails.",
		Size: span.String(), Seed: seed,
		Figures: v.figures(
			torture.Figure{Name: "logins", Value: fmt.Sprint(logins())},
			torture.Figure{Name: "faults", Value: fmt.Sprint(faults)},
			torture.Figure{Name: "memory at most", Value: fmt.Sprintf("%d MiB", peak>>20)},
			torture.Figure{Name: "growth, after half of the time, of what is alive after a collection", Value: fmt.Sprintf("%.1f %%/h of the memory", slope), Bound: "1 %/h, held in an hour or more"},
			torture.Figure{Name: "of the memory itself, which levels off where garbage has ever been", Value: fmt.Sprintf("%.1f %%/h", residentSlope)},
			torture.Figure{Name: "goroutines when quiet, before and after", Value: fmt.Sprintf("%d, %d", quiet, routines), Bound: "+5"},
		),
	})
}

// aSoakFault makes something ill, and returns how to cure it.
func aSoakFault(t *testing.T, rng *rand.Rand, cluster *pgtest.Cluster, toPostgres, toClerk *toxiproxy.Proxy, clerk *clerktest.Server) (name string, cure func()) {
	t.Helper()
	nothing := func() {}
	switch rng.IntN(6) {
	case 0:
		ruin(t, cluster)
		return "PostgreSQL killed", nothing
	case 1:
		if err := cluster.KillOne(rng.IntN); err != nil {
			t.Fatal(err)
		}
		return "session killed", nothing
	case 2:
		if err := clerk.SetFaults(clerktest.Faults{ErrorRate: 0.5, Hang: 0.2}); err != nil {
			t.Fatal(err)
		}
		return "Clerk fails", func() { _ = clerk.SetFaults(clerktest.Faults{}) } // they are right
	}
	all := cells()
	c := all[rng.IntN(len(all))]
	line := toPostgres
	if c.line == "Clerk" {
		line = toClerk
	}
	return c.name, c.ail(t, line)
}

// signInForEver signs users in, five a second, until it is stopped.
func signInForEver(t *testing.T, clerk *clerktest.Server, database string) (stop func() error, count func() int) {
	t.Helper()
	db := connect(t, database)
	mirror, err := clerksync.Open(t.Context(), db, clerksync.Config{ReadMargin: -1})
	if err != nil {
		t.Fatal(err)
	}
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: clerk.SecretKey(), URL: clerk.URL(), RateLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	logins, err := upsert.New(upsert.Config{Mirror: mirror, Clerk: api, MaxAge: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for id := range clerk.Users() { // in the order of creation: those who were there before the storm stay
		if ids = append(ids, id); len(ids) == rained {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	n, done := 0, make(chan error, 1)
	go func() {
		for ; ctx.Err() == nil; n++ {
			if _, err := logins.UpsertOnLogin(ctx, ids[n%len(ids)]); err != nil && !errors.Is(err, upsert.ErrUnavailable) {
				done <- fmt.Errorf("the login of a living user: %w", err)
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
		done <- nil
	}()
	return func() error {
		cancel()
		err := <-done
		logins.Close()
		return err
	}, func() int { return n }
}

// goroutines returns how many goroutines a daemon has.
func (d *daemon) goroutines() int {
	d.t.Helper()
	n, told := d.metric("go_goroutines")
	if !told {
		d.t.Fatal("the metrics do not tell goroutines")
	}
	return int(n)
}

// metric returns what a daemon tells as one of its metrics without labels.
func (d *daemon) metric(name string) (value float64, told bool) {
	d.t.Helper()
	code, text := get(d.t, d.admin+"/metrics")
	for line := range strings.Lines(text) {
		if number, found := strings.CutPrefix(line, name+" "); found && code == http.StatusOK {
			value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			return value, err == nil
		}
	}
	return 0, false
}

// residentMemory returns how many bytes of memory a process has in use.
func residentMemory(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if kib, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, _ := strconv.ParseInt(strings.Fields(kib)[0], 10, 64)
			return n << 10
		}
	}
	t.Fatal("the kernel does not tell")
	return 0
}

// sample is memory at a time.
type sample struct{ hours, bytes float64 }

// spread tells the least, the median and the greatest of some memory.
func spread(all []sample) string {
	var sizes []float64
	for _, s := range all {
		sizes = append(sizes, s.bytes/(1<<20))
	}
	if len(sizes) == 0 {
		return "–"
	}
	slices.Sort(sizes)
	return fmt.Sprintf("%.1f %.1f %.1f MiB", sizes[0], sizes[len(sizes)/2], sizes[len(sizes)-1])
}

// median returns the median of some memory, in bytes.
func median(all []sample) float64 {
	sizes := make([]float64, len(all))
	for i, s := range all {
		sizes[i] = s.bytes
	}
	slices.Sort(sizes)
	if len(sizes) == 0 {
		return 1
	}
	return sizes[len(sizes)/2]
}

// slopeOf returns by how many bytes memory grew an hour, by least squares.
func slopeOf(all []sample) float64 {
	if len(all) < 2 {
		return 0
	}
	var x, y, xx, xy float64
	for _, s := range all {
		x, y, xx, xy = x+s.hours, y+s.bytes, xx+s.hours*s.hours, xy+s.hours*s.bytes
	}
	n := float64(len(all))
	return (n*xy - x*y) / (n*xx - x*x)
}
