package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	svix "github.com/svix/svix-webhooks/go"
)

// load is what the load generator is told: clients that each post one event after the other, over connections that stay open.
type load struct {
	URLs    []string // the clients take them in turn
	Clients int
	Users   int  // events are about them by turns
	Stride  int  // how far apart users are who follow each other
	Events  int  // how many are made and signed beforehand
	Again   bool // start over when all are posted; else the load ends with them
	Poison  int  // one event in so many is poison; 0 means none
	Early   bool // the events happened before those of all other loads
	Flood   bool // 503 is an answer, and not the end of the measurement

	Warm, Span time.Duration // how long it runs before it counts, and while it counts
}

// scattered is a stride that scatters the users that follow each other over the table, as life does. It is a prime, so that all of
// them have their turn.
const scattered = 7919

// loaded is what the load generator saw while it counted.
type loaded struct {
	Seconds  float64
	Taken    int     // events answered 204
	P50, P99 float64 // of those answers, in milliseconds
	Refused  int     // events answered 503
	Refused9 float64 // the 99th percentile of those answers, in milliseconds
}

// generate is the role of the load generator. It tells one value when it begins to count, and what it saw when it has ended.
func generate(ctx context.Context, in *json.Decoder, out *json.Encoder) error {
	var l load
	if err := in.Decode(&l); err != nil {
		return err
	}
	deliveries, err := l.prepare()
	if err != nil {
		return err
	}
	g := &generator{load: l, deliveries: deliveries}
	return g.run(ctx, out)
}

// prepare makes and signs all events.
func (l load) prepare() ([][]byte, error) {
	signer, err := svix.NewWebhook(signingSecret)
	if err != nil {
		return nil, err
	}
	endpoint, err := url.Parse(l.URLs[0])
	if err != nil {
		return nil, err
	}
	deliveries := make([][]byte, l.Events)
	begun, age := time.Now(), time.Hour
	if l.Early {
		age = 2 * time.Hour
	}
	prefix := fmt.Sprintf("%d_", begun.UnixNano())
	for n := range deliveries {
		metadata := wholesome
		if l.Poison > 0 && n%l.Poison == 0 {
			metadata = poisons[n/l.Poison%len(poisons)]
		}
		if deliveries[n], err = newDelivery(signer, endpoint.RequestURI(), prefix, n, n*l.Stride%l.Users, metadata, begun, age); err != nil {
			return nil, err
		}
	}
	return deliveries, nil
}

type generator struct {
	load
	deliveries [][]byte
	next       atomic.Int64
	counting   atomic.Bool
	over       atomic.Bool
}

// answers are what one client was told.
type answers struct {
	taken, refused []time.Duration
	err            error
}

func (g *generator) run(ctx context.Context, out *json.Encoder) error {
	all := make([]answers, g.Clients)
	var clients sync.WaitGroup
	for i := range all {
		clients.Go(func() {
			if all[i] = g.work(ctx, g.URLs[i%len(g.URLs)]); all[i].err != nil {
				g.over.Store(true)
			}
		})
	}
	time.Sleep(g.Warm)
	g.counting.Store(true)
	begun := time.Now()
	if err := out.Encode(struct{}{}); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { clients.Wait(); close(ended) }()
	select {
	case <-ended: // there were fewer events than the time takes
	case <-time.After(g.Span):
	}
	seen := loaded{Seconds: time.Since(begun).Seconds()}
	g.counting.Store(false)
	g.over.Store(true)
	<-ended
	var taken, refused []time.Duration
	for _, a := range all {
		if a.err != nil {
			return a.err
		}
		taken, refused = append(taken, a.taken...), append(refused, a.refused...)
	}
	seen.Taken, seen.P50, seen.P99 = len(taken), percentile(taken, 50), percentile(taken, 99)
	seen.Refused, seen.Refused9 = len(refused), percentile(refused, 99)
	return out.Encode(seen)
}

// work is one client.
func (g *generator) work(ctx context.Context, endpoint string) (a answers) {
	line, err := dial(ctx, endpoint)
	if err != nil {
		return answers{err: err}
	}
	defer line.conn.Close()
	for !g.over.Load() {
		n := int(g.next.Add(1) - 1)
		if n >= len(g.deliveries) && !g.Again {
			return a
		}
		begun := time.Now()
		code, err := line.post(g.deliveries[n%len(g.deliveries)])
		took := time.Since(begun)
		if err != nil {
			return answers{err: err}
		}
		switch counts := g.counting.Load(); {
		case code == http.StatusNoContent && counts:
			a.taken = append(a.taken, took)
		case code == http.StatusServiceUnavailable && g.Flood:
			if counts {
				a.refused = append(a.refused, took)
			}
		case code != http.StatusNoContent:
			return answers{err: fmt.Errorf("an event was answered %d", code)}
		}
	}
	return a
}

// line is one client's connection. It writes what was made beforehand and reads the answer itself: a whole HTTP client would take as
// much of the machine as what is measured.
type line struct {
	conn    net.Conn
	answers *bufio.Reader
}

func dial(ctx context.Context, endpoint string) (*line, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	return &line{conn: conn, answers: bufio.NewReader(conn)}, nil
}

func (l *line) post(request []byte) (code int, err error) {
	if _, err := l.conn.Write(request); err != nil {
		return 0, err
	}
	answer, err := http.ReadResponse(l.answers, nil)
	if err != nil {
		return 0, err
	}
	if answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") == "" {
		return 0, errors.New("a 503 came without Retry-After")
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, errors.Join(err, answer.Body.Close())
}

// percentile returns a percentile in milliseconds, or 0 of nothing. It sorts times.
func percentile(times []time.Duration, p int) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return float64(times[(len(times)-1)*p/100]) / float64(time.Millisecond)
}
