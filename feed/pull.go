package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	clerksync "github.com/clerksync/clerksync/sync"
)

// PullConfig configures [NewPull]. Mirror is required.
type PullConfig struct {
	Mirror  *clerksync.Mirror
	Data    bool // see [Relay]
	Initial bool // see [Relay]

	look time.Duration // for events, until an answer has none
}

// pull answers requests for changes.
type pull struct {
	PullConfig
	turns chan struct{} // holds a token for each reader who asks the database now
}

// pullTurns is how many readers ask the database at once. Each commit wakes all who wait, and they share a pool with those who write.
const pullTurns = 2

// NewPull returns a handler from which programs read the feed at their own pace:
//
//	GET …?after=SEQ&limit=N&wait=DURATION
//
// The answer is a JSON object:
//
//   - events are the CloudEvents after a seq, at most limit of them (100, or up to 500).
//   - next is the seq to ask for after.
//   - oldest is the seq of the oldest change that is kept, or would be if there were one. If it is greater than after + 1, a reader that
//     was away for long may have missed some.
//   - newest is the seq of the newest change. If it is less than after, the database is an older copy than the reader has read of.
//   - mirror is the part before the dash of each [Message.ID]. If it is not what it was, the mirror was started over, and all that the
//     reader knows belongs to another one.
//
// With wait, at most 10s, an answer without events is held back until there are some or the time is over. Where many changes follow that
// are left out, it comes after about 2 seconds all the same, and next has moved on.
//
// However many read at once, two connections of the mirror's pool are used for it at a time.
func NewPull(cfg PullConfig) http.Handler {
	cfg.look = cmp.Or(cfg.look, lookTime)
	return &pull{cfg, make(chan struct{}, pullTurns)}
}

// answer is what a request gets.
type answer struct {
	Events []jsontext.Value `json:"events"`
	Next   int64            `json:"next"`
	Oldest int64            `json:"oldest"`
	Newest int64            `json:"newest"`
	Mirror string           `json:"mirror"`
}

// ServeHTTP implements [http.Handler].
func (p *pull) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := parsePull(r.URL.Query())
	if err != nil {
		respond(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	a, err := p.read(r.Context(), q)
	if err != nil {
		respond(w, http.StatusServiceUnavailable, map[string]string{"error": "the database does not answer"})
		return
	}
	respond(w, http.StatusOK, a)
}

func respond(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.MarshalWrite(w, v) // nobody is left to be told
}

// pullQuery is a request.
type pullQuery struct {
	after int64
	limit int
	wait  time.Duration
}

const (
	maxPullWait = 10 * time.Second
	lookTime    = 2 * time.Second // since servers and clients give up on what does not answer
)

// parsePull reads a request. Its error is a sentence for whoever wrote the client.
func parsePull(values url.Values) (q pullQuery, err error) {
	q.limit = 100
	for name := range values {
		text := values.Get(name)
		switch name {
		case "after":
			if q.after, err = strconv.ParseInt(text, 10, 64); err != nil || q.after < 0 {
				return q, errors.New("after must be the next of the answer before, or 0")
			}
		case "limit":
			if q.limit, err = strconv.Atoi(text); err != nil || q.limit < 1 || q.limit > pageSize {
				return q, fmt.Errorf("limit must be a number from 1 to %d", pageSize)
			}
		case "wait":
			if q.wait, err = time.ParseDuration(text); err != nil || q.wait < 0 || q.wait > maxPullWait {
				return q, fmt.Errorf("wait must be a duration up to %s", maxPullWait)
			}
		default:
			return q, errors.New("the parameters are after, limit and wait")
		}
	}
	return q, nil
}

// read reads one answer, and waits for changes if it is asked to.
func (p *pull) read(ctx context.Context, q pullQuery) (answer, error) {
	e := newEncoder(p.Mirror)
	woken := make(chan struct{}, 1)
	defer p.Mirror.Watch(func(clerksync.Commit) { wake(woken) })()
	a := answer{Events: []jsontext.Value{}, Next: q.after, Mirror: e.born}
	for over := time.Now().Add(q.wait); ; {
		due, err := p.add(ctx, e, &a, q.limit)
		if err != nil {
			return answer{}, err
		}
		left := time.Until(over)
		if due || left <= 0 {
			break
		}
		wait(ctx, min(left, pollTime), woken)
	}
	end, err := p.turn(ctx)
	if err != nil {
		return answer{}, err
	}
	defer end()
	oldest, last, err := p.Mirror.FeedEnds(ctx)
	a.Oldest, a.Newest = oldest, max(last, oldest-1) // last is 0 where all are gone
	return a, err
}

// turn waits until it is this reader's turn to ask the database, and returns what ends it.
func (p *pull) turn(ctx context.Context) (end func(), err error) {
	select {
	case p.turns <- struct{}{}:
		return func() { <-p.turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// add reads on until there is something to answer, nothing more to read, or looking has taken long enough. It reports whether an answer
// is due now, by which the reader goes on.
func (p *pull) add(ctx context.Context, e *encoder, a *answer, limit int) (due bool, err error) {
	for begun := time.Now(); ; {
		read, err := p.page(ctx, e, a, limit)
		switch {
		case err != nil || read == 0:
			return false, err
		case len(a.Events) > 0 || time.Since(begun) >= p.look:
			return true, nil
		}
	}
}

// page adds what is wanted of the next page, and returns how many changes it read.
func (p *pull) page(ctx context.Context, e *encoder, a *answer, limit int) (read int, err error) {
	end, err := p.turn(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	changes, err := p.Mirror.Changes(ctx, a.Next, pageSize)
	if err != nil || len(changes) == 0 {
		return 0, err
	}
	var wanted []clerksync.Change
	if wanted, a.Next = p.choose(changes, limit); len(wanted) == 0 {
		return len(changes), nil
	}
	return len(changes), p.fill(ctx, e, a, wanted)
}

// choose takes what is wanted from a page, at most limit changes, and returns how far they reach.
func (p *pull) choose(page []clerksync.Change, limit int) (wanted []clerksync.Change, next int64) {
	for _, c := range page {
		if p.Initial || !c.Initial {
			wanted = append(wanted, c)
		}
		if next = c.Seq; len(wanted) == limit {
			break
		}
	}
	return wanted, next
}

func (p *pull) fill(ctx context.Context, e *encoder, a *answer, wanted []clerksync.Change) error {
	messages, err := e.encode(ctx, wanted, p.Data)
	for _, m := range messages {
		a.Events = append(a.Events, m.Event)
	}
	return err
}
