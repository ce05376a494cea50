package main_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/clerktest"
	main "github.com/clerksync/clerksync/cmd/clerksync"
	"github.com/clerksync/clerksync/internal/pipes"
	"github.com/clerksync/clerksync/internal/torture"
)

// bubble is a daemon and the Clerk that it mirrors, without a network, in a time of their own.
type bubble struct {
	t       *testing.T
	rng     *rand.Rand
	clerk   *clerktest.Clerk
	answers *recorder
	file    string
	log     *output
	wires   *wires
	stop    func() error // ends the daemon; nil while it is down
	people  []string
	downs   int
}

// wires are listeners without sockets, by their addresses.
type wires struct {
	mu   sync.Mutex
	open map[string]*pipes.Listener
}

func (w *wires) listen(_ context.Context, _, address string) (net.Listener, error) {
	l := pipes.Listen(address)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[address] = l
	return l, nil
}

func (w *wires) dial(ctx context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	l := w.open[address]
	w.mu.Unlock()
	if l == nil {
		return nil, errors.New("nobody listens")
	}
	return l.Dial(ctx)
}

// The addresses within a bubble.
const (
	publicWire = "127.0.0.1:1001"
	adminWire  = "127.0.0.1:1002"
	clerkWire  = "127.0.0.1:1003"
)

// TestBubble lets days pass for a daemon in seconds, in a bubble of testing/synctest: the real daemon with its schedules, leases and
// time-outs, the emulator and Svix's real schedule of retries, up to 28 hours. Meanwhile random things happen, Clerk fails and lies in
// random ways, and the daemon is stopped for hours. When all has been delivered and a pass has run, the mirror equals Clerk, what was
// answered is there, and the changes of everybody are numbered without a hole.
func TestBubble(t *testing.T) {
	t.Parallel()
	progress := torture.Resume(t)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // the goroutine behind it lasts, so it must not be one of a bubble
	useBubbleClock(t)
	runs, span := torture.Size(t, 1, 20_000), time.Hour
	if torture.Long {
		span = 72 * time.Hour
	}
	for progress.Done < runs {
		seed := progress.Seed + uint64(progress.Done)
		var v verdict
		synctest.Test(t, func(t *testing.T) {
			b := inflate(t, seed)
			b.live(span)
			v = b.settle()
		})
		if t.Failed() {
			torture.Reproduce(t, seed)
			return
		}
		progress.Add(t, 1, map[string]int64{"answered": int64(v.answered), "lost": int64(v.lost)})
	}
	torture.Record(t, progress.Begun(), torture.Run{
		What: "Lets three days pass in seconds for the whole daemon, with the emulator and Svix's schedule of retries, random events, faults of Clerk and hours in which the daemon is down.",
		Size: fmt.Sprintf("%d × %s", runs, span), Seed: progress.Seed,
		Figures: []torture.Figure{
			{Name: "events answered 204", Value: fmt.Sprint(progress.Sums["answered"])},
			{Name: "of these lost", Value: fmt.Sprint(progress.Sums["lost"]), Bound: "0"},
			{Name: "differences from Clerk at the end", Value: "0", Bound: "0"},
		},
	})
}

// inflate makes a bubble with a daemon at work.
func inflate(t *testing.T, seed uint64) *bubble {
	t.Helper()
	b := &bubble{t: t, rng: rand.New(rand.NewPCG(seed, 5)), answers: newRecorder(), file: filepath.Join(t.TempDir(), "mirror.db"),
		wires: &wires{open: map[string]*pipes.Listener{}}}
	b.answers.via = &http.Transport{DialContext: b.wires.dial, DisableKeepAlives: true}
	var err error
	b.clerk, err = clerktest.New(clerktest.Config{Seed: seed, Users: 20, HTTPClient: &http.Client{Transport: b.answers},
		WebhookURL: "http://" + publicWire + "/api/webhooks/clerk"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.clerk.Close)
	b.answers.to("http://" + publicWire)
	for id := range b.clerk.Users() {
		b.people = append(b.people, id)
	}
	socket, _ := b.wires.listen(t.Context(), "tcp", clerkWire)
	server := &http.Server{Handler: b.clerk}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(socket) // ends with Close
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	b.start()
	t.Cleanup(func() {
		b.rest()
		if t.Failed() {
			t.Logf("the daemon's log ends with\n%.6000s", lastLines(b.log.String(), 40))
		}
	})
	return b
}

func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// start starts the daemon.
func (b *bubble) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	transport := &http.Transport{DialContext: b.wires.dial, DisableKeepAlives: true}
	b.log = new(output)
	go func() {
		ended <- main.Serve(ctx, map[string]string{
			"CLERK_API_URL": "http://" + clerkWire, "CLERK_SECRET_KEY": b.clerk.SecretKey(), "CLERK_WEBHOOK_SIGNING_SECRET": b.clerk.WebhookSecret(),
			"CLERKSYNC_LISTEN": publicWire, "CLERKSYNC_ADMIN_LISTEN": adminWire, "DATABASE_URL": "sqlite:" + b.file, "CLERKSYNC_LOG_FORMAT": "json",
			"CLERKSYNC_LOG_LEVEL": "info", "CLERKSYNC_MAX_DELETE_PERCENT": "100",
		}, b.log, b.wires.listen, transport)
	}()
	b.stop = func() error {
		cancel()
		return <-ended
	}
}

// rest stops the daemon, if it runs.
func (b *bubble) rest() {
	b.t.Helper()
	if b.stop == nil {
		return
	}
	if err := b.stop(); err != nil {
		b.t.Errorf("the daemon ended with %v", err)
	}
	b.stop = nil
}

// live lets time pass, and things happen.
func (b *bubble) live(span time.Duration) {
	for end := time.Now().Add(span); time.Now().Before(end); {
		time.Sleep(time.Duration(b.rng.Int64N(int64(6 * time.Minute))))
		switch {
		case b.rng.IntN(15) == 0:
			b.fault()
		case b.rng.IntN(60) == 0 && b.stop != nil:
			b.rest()
			b.downs++
			time.Sleep(time.Duration(b.rng.Int64N(int64(span / 12))))
			b.start()
		default:
			b.happen()
		}
	}
}

// fault has Clerk behave otherwise from now on.
func (b *bubble) fault() {
	var f clerktest.Faults
	maybe := func(set func()) {
		if b.rng.IntN(4) == 0 {
			set()
		}
	}
	maybe(func() { f.Drop = b.rng.Float64() / 3 })
	maybe(func() { f.Duplicate = b.rng.Float64() / 3 })
	maybe(func() { f.Reorder = b.rng.Float64() / 3 })
	maybe(func() { f.ErrorRate = b.rng.Float64() })
	maybe(func() { f.Hang = b.rng.Float64() / 10 })
	maybe(func() { f.Latency = time.Duration(b.rng.Int64N(int64(3 * time.Second))) })
	maybe(func() { f.Lag = time.Duration(b.rng.Int64N(int64(50 * time.Second))) })
	maybe(func() { f.Skew = time.Duration(b.rng.Int64N(int64(50*time.Second))) - 25*time.Second })
	maybe(func() { f.SkipRows = b.rng.Float64() / 10 })
	maybe(func() { f.Repeat = b.rng.Float64() })
	maybe(func() { f.Truncate = b.rng.Float64() })
	maybe(func() { f.CountDelta = b.rng.IntN(40) - 20 })
	maybe(func() { f.CursorRefused = true })
	maybe(func() { f.SilentCascade = b.rng.Float64() })
	f.Empty, f.Unauthorized = b.rng.IntN(20) == 0, b.rng.IntN(20) == 0
	if err := b.clerk.SetFaults(f); err != nil {
		b.t.Fatal(err)
	}
}

// happen lets somebody sign up, change, leave, or do something with others.
func (b *bubble) happen() {
	i := b.rng.IntN(len(b.people))
	id, err := b.people[i], error(nil)
	switch b.rng.IntN(10) {
	case 0, 1:
		id, err = b.clerk.CreateUser(clerktest.Fields{"first_name": fmt.Sprint("New ", len(b.people))})
		b.people = append(b.people, id)
	case 2, 3:
		err = b.clerk.UpdateUser(id, clerktest.Fields{"last_name": fmt.Sprint("Changed ", b.rng.IntN(1000))})
	case 4:
		err = b.clerk.BanUser(id)
	case 5, 6, 7, 8:
		err = b.meet()
	default:
		if len(b.people) > 10 {
			err = b.clerk.DeleteUser(id)
			b.people = append(b.people[:i], b.people[i+1:]...)
		}
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// settle waits until everything is delivered, has a pass run, and compares.
func (b *bubble) settle() verdict {
	t := b.t
	t.Helper()
	if err := b.clerk.SetFaults(clerktest.Faults{}); err != nil {
		t.Fatal(err)
	}
	b.inhabit()
	counts, err := b.clerk.Wait(t.Context())
	if err != nil || counts.Failed > 0 {
		t.Errorf("%+v, %v: some events were given up", counts, err)
	}
	time.Sleep(time.Hour) // what is deferred is applied, and what is in doubt old enough
	b.pass()
	b.rest()
	db, err := sqlx.Open("sqlite", "file:"+b.file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	v := b.answers.checkIn(t, db, "clerk_")
	v.want(t)
	type person struct {
		ID     string  `db:"id"`
		First  *string `db:"first_name"`
		Last   *string `db:"last_name"`
		Banned bool    `db:"banned"`
	}
	var got []person
	if err := db.Select(&got, `SELECT id, first_name, last_name, banned FROM clerk_active_users`); err != nil {
		t.Fatal(err)
	}
	here := map[string]string{}
	for _, p := range got {
		here[p.ID] = fmt.Sprintf("%s %s %t", text(p.First), text(p.Last), p.Banned)
	}
	there := map[string]string{}
	for id, raw := range b.clerk.Users() {
		there[id] = personOf(t, raw)
	}
	if diff := cmp.Diff(there, here); diff != "" {
		t.Errorf("the mirror differs from Clerk (-want +got):\n%s", diff)
	}
	b.wantTeams(db)
	return v
}

// pass orders a full pass until one ends well.
func (b *bubble) pass() {
	b.t.Helper()
	operator := &http.Client{Transport: &http.Transport{DialContext: b.wires.dial, DisableKeepAlives: true}}
	for range 20 {
		asked := time.Now()
		resp, err := operator.Post("http://"+adminWire+"/api/reconcile", "application/json", nil)
		if err != nil {
			b.t.Fatal(err)
		}
		resp.Body.Close()
		time.Sleep(10 * time.Minute)
		var n int
		db := sqlx.MustOpen("sqlite", "file:"+b.file)
		err = db.Get(&n, `SELECT count(*) FROM clerk_passes WHERE kind = 'full' AND complete AND error IS NULL AND started_at >= $1`, asked.UTC().Format("2006-01-02T15:04:05.000Z"))
		db.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
	b.t.Error("no pass ends well without faults")
}
