package sync

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"

	"github.com/clerksync/clerksync/internal/scan"
)

// Reader makes evidence from reads of Clerk's API. Before the first read it asks Clerk which instance the key belongs to, pins an
// unpinned mirror to it, and reads nothing with [ErrWrongInstance] if the mirror is pinned to another one. Its methods may be
// called by any number of goroutines at once.
type Reader struct {
	mirror   *Mirror
	api      *API
	source   Source
	patience patience
	dry      bool // leaves the mirror unpinned
	requests atomic.Int64
	retries  atomic.Int64
}

// NewReader returns a reader whose evidence carries the source. Readers for logins answer within seconds or fail, and use the
// whole rate limit; all others are patient and keep to their share.
func NewReader(m *Mirror, api *API, source Source) *Reader {
	p := passPatience
	if source == Login {
		p = loginPatience
	}
	return &Reader{mirror: m, api: api, source: source, patience: p}
}

// NewDryReader returns a reader for who writes nothing: it leaves an unpinned mirror unpinned, and [Mirror.Compare] takes what it reads,
// but [Mirror.Apply] does not.
func NewDryReader(m *Mirror, api *API, source Source) *Reader {
	r := NewReader(m, api, source)
	r.dry = true
	return r
}

// Requests returns how many requests the reader has made, and how many of them were repeats.
func (r *Reader) Requests() (requests, retries int64) { return r.requests.Load(), r.retries.Load() }

// Sighting is one object that a list showed.
type Sighting struct {
	ID      string // empty if the object does not tell it
	Created int64  // created_at in Unix milliseconds, or Never
	Updated int64  // updated_at in Unix milliseconds, or Never
	Evidence
}

// Dated returns when the object was created, in Unix milliseconds, as [Mirror.Visible] dates it: Never where Clerk does not tell
// it, or tells what no calendar has.
func (s Sighting) Dated() int64 {
	if !onCalendar(s.Created) {
		return Never
	}
	return s.Created
}

// List reads one page of the list of a kind, with the parameters that Clerk documents. The error is [ErrRefused] where Clerk does
// not accept them.
func (r *Reader) List(ctx context.Context, k Kind, query url.Values) ([]Sighting, error) {
	d, known := describe(k)
	if !known || d.list.path == "" {
		return nil, fmt.Errorf("listing %q: Clerk has no such list", k)
	}
	if _, err := r.Instance(ctx); err != nil {
		return nil, err
	}
	c, err := r.get(ctx, d.list.path, d.list.path, d.list.with(query))
	if err != nil {
		return nil, err
	}
	switch c.status {
	case http.StatusOK:
		return r.sightings(k, c)
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return nil, fmt.Errorf("asking Clerk for %s: HTTP %d: %w", d.list.path, c.status, ErrRefused)
	}
	return nil, c.failure()
}

// Batch is how many ids [Reader.Present] takes at most; it is Clerk's limit.
const Batch = 100

// Present lists those of the given objects that Clerk has, at most [Batch] of them. An id that is missing from the answer proves
// nothing; only Get does. A kind whose list cannot be asked for ids has no answer: the result is empty.
func (r *Reader) Present(ctx context.Context, k Kind, ids []string) ([]Sighting, error) {
	d, known := describe(k)
	if !known || len(ids) > Batch {
		return nil, fmt.Errorf("listing %d of %q: no such kind, or too many", len(ids), k)
	}
	if d.list.idParam == "" {
		return nil, nil
	}
	return r.List(ctx, k, url.Values{d.list.idParam: ids, "limit": {fmt.Sprint(max(len(ids), 1))}})
}

// Count returns how many objects of the kind Clerk has.
func (r *Reader) Count(ctx context.Context, k Kind) (int64, error) {
	d, known := describe(k)
	if !known || d.list.path == "" {
		return 0, fmt.Errorf("counting %q: Clerk has no such list", k)
	}
	if _, err := r.Instance(ctx); err != nil {
		return 0, err
	}
	path, query := d.list.count, url.Values(nil)
	if path == "" {
		path, query = d.list.path, d.list.with(url.Values{"limit": {"1"}})
	}
	c, err := r.get(ctx, path, path, query)
	if err != nil {
		return 0, err
	}
	if c.status != http.StatusOK {
		return 0, c.failure()
	}
	n, ok := scan.Int(member(c.body, "total_count"))
	if !ok {
		return 0, fmt.Errorf("asking Clerk for %s: the answer has no total_count: %w", path, ErrUnavailable)
	}
	return n, nil
}

// with returns a request's parameters with those that every request of the list carries.
func (l list) with(query url.Values) url.Values {
	if l.query == nil {
		return query
	}
	all := maps.Clone(l.query)
	maps.Copy(all, query)
	return all
}

func (r *Reader) get(ctx context.Context, endpoint, path string, query url.Values) (*call, error) {
	return r.getFrom(ctx, *r.api.backend.Load(), endpoint, path, query)
}

func (r *Reader) getFrom(ctx context.Context, b clerk.Backend, endpoint, path string, query url.Values) (*call, error) {
	c, err := r.api.get(ctx, b, endpoint, path, query, r.patience)
	r.requests.Add(int64(c.tries))
	r.retries.Add(int64(max(c.tries-1, 0)))
	if err == nil {
		r.noteClock(c)
	}
	return c, err
}

// noteClock compares the answer's Date, which has whole seconds, with the middle of the request.
func (r *Reader) noteClock(c *call) {
	date, err := http.ParseTime(c.header.Get("Date"))
	if err != nil {
		return
	}
	middle := c.started.Add(time.Since(c.started) / 2)
	r.mirror.clock.noteAnswer(date.Add(500 * time.Millisecond).Sub(middle))
}

// evidence stamps what an answer shows.
func (r *Reader) evidence(k Kind, c *call) Evidence {
	_, skewed := r.mirror.Skew()
	return Evidence{
		Kind: k, Source: r.source, At: c.started.UnixMilli(),
		read: &read{margin: r.mirror.cfg.ReadMargin.Milliseconds(), keep: r.mirror.keeping(), dry: r.dry, skewed: skewed},
	}
}

// Release gives back the memory of a page that [Reader.List] returned, for pages to come. Nobody may use its objects any more. A page
// that is not given back is garbage as all else.
func (r *Reader) Release(page []Sighting) {
	if len(page) > 0 && page[0].read != nil && page[0].read.memory != nil {
		select {
		case r.api.spare <- page[0].read.memory:
		default:
		}
		page[0].read.memory = nil
	}
}

// sighted are the members that a Sighting tells beside the object.
var sighted = []string{"id", "created_at", "updated_at"}

func (r *Reader) sightings(k Kind, c *call) ([]Sighting, error) {
	var all []Sighting
	stamped := r.evidence(k, c)
	stamped.read.memory = c.memory
	err := scan.Records(listed(c.body), sighted, func(elem []byte, values [][]byte) error {
		s := Sighting{Created: intOr(values[1], Never), Updated: intOr(values[2], Never), Evidence: stamped}
		s.ID, _ = scan.String(values[0]) // what is no object shows itself when it is applied
		s.Evidence.ID, s.Object = s.ID, elem
		all = append(all, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading Clerk's list: the answer is not a JSON array: %w", ErrUnavailable)
	}
	return all, nil
}
