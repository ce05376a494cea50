package sync

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/clerksync/clerksync/internal/scan"
)

// Get reads one object. An object that Clerk does not have is evidence, too: that it is gone. While the clocks differ too much
// for an absence to prove that, the error is [ErrSkewed].
//
// A kind that Clerk does not have by id is looked for in the lists that would show it, twice, at least the read margin apart.
func (r *Reader) Get(ctx context.Context, k Kind, id string) (Evidence, error) {
	d, known := describe(k)
	if !known || d.ask == nil || id == "" {
		return Evidence{}, fmt.Errorf("reading %q: Clerk does not have it by id", k)
	}
	if !validID(id) {
		return Evidence{}, fmt.Errorf("reading %q: that can be no id of Clerk's: %w", k, ErrNotFound)
	}
	if _, err := r.Instance(ctx); err != nil {
		return Evidence{}, err
	}
	row, err := r.mirror.askingKeys(ctx, d, id)
	if err != nil {
		return Evidence{}, err
	}
	questions := d.ask(id, row)
	e, err := r.ask(ctx, d, id, row, questions)
	if err != nil || e.Object != nil || !questions[0].list {
		return e, err
	}
	if err := pause(ctx, r.mirror.cfg.ReadMargin); err != nil {
		return Evidence{}, err
	}
	return r.ask(ctx, d, id, row, questions)
}

// ask asks the questions until one shows the object.
func (r *Reader) ask(ctx context.Context, d *kind, id string, row map[string]string, questions []question) (e Evidence, err error) {
	var c *call
	for _, q := range questions {
		if c, err = r.get(ctx, q.endpoint, q.path, q.query); err != nil {
			return Evidence{}, err
		}
		e = r.evidence(d.name, c)
		e.ID = id
		switch {
		case c.status == http.StatusOK && q.list:
			if e.Object, err = elementWith(c.body, id); err != nil { // a 200 that is no list proves nothing
				return Evidence{}, fmt.Errorf("asking Clerk for %s: the answer is not a list: %w", q.endpoint, ErrUnavailable)
			}
			if e.Object != nil {
				return e, nil
			}
		case c.status == http.StatusOK && memberText(c.body, "id") == id:
			e.Object = c.body
			return e, nil
		case c.status == http.StatusNotFound && q.list:
			orphan, err := r.orphan(ctx, d, row)
			if err != nil {
				return Evidence{}, err
			}
			if !orphan {
				return Evidence{}, c.failure()
			}
		case c.notFound() && !q.list:
		default:
			return Evidence{}, c.failure()
		}
	}
	if e.read.skewed {
		skew, _ := r.mirror.Skew()
		return Evidence{}, fmt.Errorf("Clerk does not have it, but its clock is %s ahead of ours: %w", skew.Round(time.Second), ErrSkewed)
	}
	return e, nil
}

// orphan reports whether an object went with a parent, since Clerk answers no more for what that one had. Of a parent that is visible here,
// the pass about its kind finds that out.
func (r *Reader) orphan(ctx context.Context, d *kind, row map[string]string) (bool, error) {
	for _, p := range d.parents {
		id := row[p.column]
		if id == "" {
			continue
		}
		if _, visible, err := r.mirror.Find(ctx, p.kind, id); err != nil || visible && r.mirror.Mirrors(p.kind) {
			return false, err
		}
		for _, q := range p.kind.description().ask(id, nil) {
			c, err := r.get(ctx, q.endpoint, q.path, q.query)
			if err != nil || c.notFound() {
				return err == nil, err
			}
		}
	}
	return false, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// elementWith finds the object with an id in a list, of which every element must be an object.
func elementWith(body []byte, id string) (found []byte, err error) {
	err = scan.Array(listed(body), func(elem []byte) error {
		switch memberText(elem, "id") {
		case "":
			return scan.ErrNotObject
		case id:
			found = elem
		}
		return nil
	})
	return found, err
}

// askingKeys reads what Clerk must be told to be asked for a single object, beside its id.
func (m *Mirror) askingKeys(ctx context.Context, d *kind, id string) (map[string]string, error) {
	keys := make(map[string]string, len(d.keys))
	for _, column := range d.keys {
		var key sql.NullString
		err := m.db.GetContext(ctx, &key, m.SQL(`SELECT `+column+` FROM {`+string(d.name)+`} WHERE id = $1`), plain(id))
		switch {
		case errors.Is(err, sql.ErrNoRows), err == nil && !validID(key.String):
			return nil, fmt.Errorf("the mirror does not know its %s, and Clerk must be asked for it within that, which a full pass finds: %w", column, ErrNotFound)
		case err != nil:
			return nil, fmt.Errorf("reading the keys of a row: %w", unavailable(err))
		}
		keys[column] = key.String
	}
	return keys, nil
}
