package main_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jmoiron/sqlx"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/torture"
)

// toxic is something that ails a network.
type toxic struct {
	name       string
	attributes string // JSON; "" of the one that cuts all connections and refuses others
}

var toxicKinds = []toxic{
	{"down", ""},
	{"latency", `{"latency":700,"jitter":300}`},
	{"bandwidth", `{"rate":4}`},
	{"slow_close", `{"delay":1000}`},
	{"timeout", `{"timeout":0}`},
	{"reset_peer", `{"timeout":50}`},
	{"slicer", `{"average_size":16,"size_variation":8,"delay":200}`},
	{"limit_data", `{"bytes":3000}`},
}

// cell is a fault in one place.
type cell struct {
	toxic
	line      string // to PostgreSQL, or to Clerk
	direction string
}

func (c cell) String() string { return c.name + " " + c.direction + ", " + c.line }

// cells are all there are. Direction means nothing to a line that is down: there it is said how it comes back.
func cells() (all []cell) {
	for _, k := range toxicKinds {
		for _, line := range []string{"PostgreSQL", "Clerk"} {
			for _, direction := range []string{"upstream", "downstream"} {
				all = append(all, cell{k, line, direction})
			}
		}
	}
	return all
}

// wire starts a proxy before an address, and returns the address by way of it.
func wire(t *testing.T, server *toxiproxy.ApiServer, name, address string) (*toxiproxy.Proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p := toxiproxy.NewProxy(server, name, "127.0.0.1:0", u.Host)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	u.Host = p.Listen
	return p, u.String()
}

// ail makes a proxy ill until cure is called.
func (c cell) ail(t *testing.T, p *toxiproxy.Proxy) (cure func()) {
	t.Helper()
	if c.attributes == "" {
		p.Stop()
		return func() {
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name":"toxic","type":%q,"stream":%q,"attributes":%s}`, c.name, c.direction, c.attributes)))
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := p.Toxics.RemoveToxic(t.Context(), "toxic"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestToxicNetwork makes the lines from the daemon to PostgreSQL and to Clerk ill in the ways that networks are, in the middle of a stream
// of events, with passes running. Every delivery is answered 204 or 503 or not at all, nothing that was answered is lost, and once a
// line is well the daemon is too, by itself.
func TestToxicNetwork(t *testing.T) {
	t.Parallel()
	seed, begun := torture.Seed(t), time.Now()
	rng := rand.New(rand.NewPCG(seed, 3))
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop().Level(zerolog.Disabled))
	direct := pgtest.Direct(t)
	db := connect(t, direct)
	r := pour(t, 50*time.Millisecond)
	toPostgres, database := wire(t, server, "postgres", direct)
	toClerk, clerk := wire(t, server, "clerk", r.clerk.URL())
	lines := map[string]*toxiproxy.Proxy{"PostgreSQL": toPostgres, "Clerk": toClerk}
	env := environment(r.clerk, database, "CLERK_API_URL="+clerk, "CLERKSYNC_POLL_INTERVAL=1s")
	d := serve(t, r.clerk, env)
	r.answers.to(d.webhook)

	all := cells()
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	rounds := torture.Size(t, 8, 10*len(all))
	worst := map[string]time.Duration{}
	for i := range rounds {
		c := all[i%len(all)]
		cure := c.ail(t, lines[c.line])
		ill := torture.Span(t, 500*time.Millisecond, 3*time.Second)
		time.Sleep(ill/2 + time.Duration(rng.Int64N(int64(ill))))
		cure()
		took := r.recovers(t, d, db, c)
		worst[c.name] = max(worst[c.name], took)
		if torture.Long && took > recoveryTime {
			t.Errorf("%s: well again after %s, want %s at most", c, took, recoveryTime)
		}
	}
	r.end(t)
	v := r.answers.check(t, db)
	v.want(t)
	d.kill()
	wantEqual(t, r.clerk, db, environment(r.clerk, direct))

	var figures []torture.Figure
	for _, k := range toxicKinds {
		if took, ran := worst[k.name]; ran {
			figures = append(figures, torture.Figure{Name: "well again after " + k.name + ", at most", Value: took.Round(time.Millisecond).String(), Bound: recoveryTime.String()})
		}
	}
	torture.Record(t, begun, torture.Run{
		What: "Has toxiproxy make the lines from the daemon to PostgreSQL and to Clerk ill, in both directions, in the middle of a stream of events with passes every second.",
		Size: fmt.Sprintf("%d faults, of %d kinds", rounds, len(all)), Seed: seed, Figures: v.figures(figures...),
	})
}

// recovers waits until the daemon is well: it is ready, takes events at once, and ends a pass. It returns how long that took.
func (r *rain) recovers(t *testing.T, d *daemon, db *sqlx.DB, c cell) time.Duration {
	t.Helper()
	well := time.Now()
	eventually(t, time.Minute, "the daemon is well after "+c.String(), func() bool {
		if code, _ := get(t, d.admin+"/readyz"); code != http.StatusOK {
			return false
		}
		taken := r.answers.since(well)
		return slices.ContainsFunc(taken, func(e delivery) bool { return e.code == http.StatusNoContent && e.took < time.Second })
	})
	took := time.Since(well)
	passed := time.Now().UTC()
	eventually(t, time.Minute, "a pass ends after "+c.String(), func() bool {
		return count(t, db, `SELECT count(*) FROM clerk.passes WHERE finished_at IS NOT NULL AND error IS NULL AND started_at > $1`, passed.Format(time.RFC3339Nano)) > 0
	})
	return took
}
