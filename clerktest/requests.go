package clerktest

import (
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxRequests bounds the request log; the oldest go first.
const maxRequests = 100_000

// Request is one request that the Backend API answered.
type Request struct {
	// Method and Path are those of the request, such as "GET" and "/v1/users".
	Method, Path string
	// Query are its parameters.
	Query url.Values
	// Status is the answer's status.
	Status int
}

// requestLog remembers requests. The zero value is empty.
type requestLog struct {
	mu    sync.Mutex
	list  []Request
	count map[string]int // by the pattern of the route, since the start
}

func (l *requestLog) add(pattern string, r *http.Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == nil {
		l.count = map[string]int{}
	}
	l.count[pattern]++
	if len(l.list) == 2*maxRequests {
		l.list = slices.Delete(l.list, 0, maxRequests)
	}
	l.list = append(l.list, Request{r.Method, r.URL.Path, r.URL.Query(), status})
}

func (l *requestLog) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]int, len(l.count))
	for pattern, n := range l.count {
		out[pattern] = n
	}
	return out
}

// Requests returns the requests to the Backend API since the start or the last
// ResetRequests, oldest first: at least the last 100,000.
func (c *Clerk) Requests() []Request {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return slices.Clone(c.log.list)
}

// ResetRequests empties what Requests returns.
func (c *Clerk) ResetRequests() {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.log.list = nil
}

// window is the period of Clerk's rate limit.
const window = 10 * time.Second

// rateLimit counts the requests of the present window. The zero value is ready.
type rateLimit struct {
	mu    sync.Mutex
	start time.Time
	used  int
}

// take counts a request and says how long to wait if it is over the limit.
func (l *rateLimit) take(limit int) (wait time.Duration) {
	if limit == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Not the instance's clock: a test may have stopped that one.
	now := time.Now()
	if now.Sub(l.start) >= window {
		l.start, l.used = now, 0
	}
	if l.used++; l.used <= limit {
		return 0
	}
	return l.start.Add(window).Sub(now)
}

// retryAfter renders a wait as the header does, in whole seconds.
func retryAfter(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}
