package clerktest

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"sync"
)

// pageCache keeps pages of users as they were written, by their queries, until
// a user changes. With it a benchmark measures the client and not the emulator.
type pageCache struct {
	limit int64 // in bytes; 0 keeps nothing

	mu      sync.Mutex
	version int64 // of the store whose pages these are
	size    int64
	pages   map[string]page
}

// page is a page of users as it is sent.
type page struct {
	body    []byte
	gzipped bool
}

func (p *pageCache) get(version int64, query string) (page, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.version != version {
		return page{}, false
	}
	kept, ok := p.pages[query]
	return kept, ok
}

// put keeps a page while there is room: a walk that begins anew wants the first
// pages again, not the last ones.
func (p *pageCache) put(version int64, query string, written page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.version != version || p.pages == nil {
		p.version, p.size, p.pages = version, 0, map[string]page{}
	}
	if _, ok := p.pages[query]; !ok && p.size+int64(len(written.body)) <= p.limit {
		p.size += int64(len(written.body))
		p.pages[query] = written
	}
}

// version counts the writes of users.
func (c *Clerk) version() int64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.store.writes
}

// cached answers a listing from the cache or, if it is not there, has it written
// and keeps it. Faulty pages and those that depend on memberships are not kept.
func (c *Clerk) cached(w *writer, r *http.Request, write func() *apiError) *apiError {
	query := r.URL.RawQuery
	if c.pages.limit == 0 || c.Faults() != (Faults{}) || strings.Contains(query, "organization_id") {
		return write()
	}
	gzipped := c.gzips(r)
	if gzipped {
		query = "gzip " + query
	}
	version := c.version()
	if kept, ok := c.pages.get(version, query); ok {
		w.buf, w.gzipped = kept.body, kept.gzipped
		return nil
	}
	if err := write(); err != nil {
		return err
	}
	if gzipped {
		w.gzip()
	}
	c.pages.put(version, query, page{w.buf, w.gzipped})
	return nil
}

// gzips reports whether an answer to a request is compressed.
func (c *Clerk) gzips(r *http.Request) bool {
	return c.config.Gzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

// gzip compresses what was written.
func (w *writer) gzip() {
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	_, _ = z.Write(w.buf) // a buffer takes everything
	_ = z.Close()
	w.buf, w.gzipped = compressed.Bytes(), true
}
