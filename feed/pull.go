package feed

import (
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
}

// pull answers requests for changes.
type pull struct{ PullConfig }

// NewPull returns a handler from which programs read the feed at their own pace:
//
//	GET …?after=SEQ&limit=N&wait=DURATION
//
// The answer is a JSON object: events, the CloudEvents after a seq, at most limit of them (100, or up to 500); next, the seq to ask
// for after; and oldest, the seq of the oldest change that is kept, by which a reader that was away for long sees that it has missed
// some. With wait, at most 10s, an answer without events is held back until there are some or the time is over.
func NewPull(cfg PullConfig) http.Handler { return &pull{cfg} }

// answer is what a request gets.
type answer struct {
	Events []jsontext.Value `json:"events"`
	Next   int64            `json:"next"`
	Oldest int64            `json:"oldest"`
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

const maxPullWait = 10 * time.Second

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
	made := make(chan struct{}, 1)
	defer p.Mirror.Watch(func(c clerksync.Commit) {
		select {
		case made <- struct{}{}:
		default:
		}
	})()
	a := answer{Events: []jsontext.Value{}, Next: q.after}
	for over := time.Now().Add(q.wait); ; {
		if err := p.add(ctx, e, &a, q.limit); err != nil {
			return answer{}, err
		}
		left := time.Until(over)
		if len(a.Events) > 0 || left <= 0 {
			break
		}
		timer := time.NewTimer(min(left, pollTime))
		select {
		case <-made:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	var err error
	a.Oldest, _, err = p.Mirror.FeedEnds(ctx)
	return a, err
}

// add reads on until there is something to answer or nothing more to read.
func (p *pull) add(ctx context.Context, e *encoder, a *answer, limit int) error {
	for len(a.Events) == 0 {
		changes, err := p.Mirror.Changes(ctx, a.Next, limit)
		if err != nil || len(changes) == 0 {
			return err
		}
		a.Next = changes[len(changes)-1].Seq
		var wanted []clerksync.Change
		for _, c := range changes {
			if p.Initial || !c.Initial {
				wanted = append(wanted, c)
			}
		}
		messages, err := e.encode(ctx, wanted, p.Data)
		if err != nil {
			return err
		}
		for _, m := range messages {
			a.Events = append(a.Events, m.Event)
		}
	}
	return nil
}
