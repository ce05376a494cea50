package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/clerksync/clerksync/internal/loopback"
	"github.com/clerksync/clerksync/internal/outward"
)

// APIConfig configures an [API]. Printed or logged, it tells everything but the secret key.
type APIConfig struct {
	// SecretKey is the key of Clerk's Backend API, "sk_test_…" or "sk_live_…". It is required.
	SecretKey string

	// URL is the address of Clerk's Backend API without the version; https unless it is on this machine, as an emulator is. Empty means
	// https://api.clerk.com.
	URL string

	// Share is the percentage of Clerk's rate limit that passes may use; the rest is the product's. Zero means 50.
	Share int

	// RateLimit is Clerk's rate limit in requests per 10 seconds. Zero means what Clerk documents: 1000 for live keys, 100 for
	// test keys. A negative value means none, for an emulator.
	RateLimit int

	// Transport sends the requests. Nil means one of its own, with Go's defaults and pings of HTTP/2, or http.DefaultTransport where
	// that was replaced.
	Transport http.RoundTripper

	// Observe, if not nil, is called after every try with the endpoint, such as "/users/{id}", and the status, or 0 where no
	// answer came. It may be called by several goroutines at once.
	Observe func(endpoint string, status int)
}

// Format implements [fmt.Formatter], for every verb.
func (c APIConfig) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "sync.APIConfig{SecretKey: [redacted], URL: %q, Share: %d, RateLimit: %d}", c.URL, c.Share, c.RateLimit)
}

// API reads Clerk's Backend API: within its rate limit, with retries. It is shared by all readers of a process, so that they
// share the limit, too. Its methods may be called by any number of goroutines at once.
type API struct {
	backend  atomic.Pointer[clerk.Backend]
	dial     func(key string) *clerk.Backend // makes one for another key
	observe  func(string, int)
	limit    *rate.Limiter // everything
	share    *rate.Limiter // passes; taken before limit, so that logins never queue behind a pass
	paused   atomic.Int64  // Unix milliseconds until which Clerk asked passes to wait
	asking   singleflight.Group
	spare    chan *bytes.Buffer // of pages that were given back
	mu       sync.Mutex
	instance string // the instance of the key; "" until asked, and again after a 401
}

const defaultURL = "https://api.clerk.com"

// The documented rate limits, in requests per 10 seconds. A limiter hands out a window's requests evenly but for a burst, so that
// no window of 10 seconds, wherever it starts, sees more than the limit.
const (
	liveLimit = 1000
	testLimit = 100
	window    = 10 * time.Second
)

func limiter(perWindow int) *rate.Limiter {
	burst := max(perWindow/10, 1)
	return rate.NewLimiter(rate.Limit(float64(max(perWindow-burst, 1))/window.Seconds()), burst)
}

// NewAPI returns a client for the instance that the key belongs to. It makes no request.
func NewAPI(cfg APIConfig) (*API, error) {
	if err := checkKey(cfg.SecretKey); err != nil {
		return nil, err
	}
	if cfg.URL == "" {
		cfg.URL = defaultURL
	}
	if err := checkURL(cfg.URL); err != nil {
		return nil, err
	}
	if cfg.Share < 0 || cfg.Share > 100 {
		return nil, errors.New("opening Clerk's API: the share of the rate limit is a percentage from 1 to 100")
	}
	if cfg.Share == 0 {
		cfg.Share = 50
	}
	if cfg.RateLimit == 0 {
		cfg.RateLimit = testLimit
		if strings.HasPrefix(cfg.SecretKey, "sk_live_") {
			cfg.RateLimit = liveLimit
		}
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, int) {}
	}
	if cfg.Transport == nil {
		cfg.Transport = outward.Transport()
	}
	a := &API{spare: make(chan *bytes.Buffer, maxSpare), observe: cfg.Observe, limit: rate.NewLimiter(rate.Inf, 1), share: rate.NewLimiter(rate.Inf, 1)}
	if cfg.RateLimit > 0 {
		a.limit, a.share = limiter(cfg.RateLimit), limiter(max(cfg.RateLimit*cfg.Share/100, 1))
	}
	a.dial = func(key string) *clerk.Backend {
		b := clerk.NewBackend(&clerk.BackendConfig{
			// No Timeout: it would cover all tries together. The transport sets a deadline per try.
			HTTPClient: &http.Client{Transport: &transport{api: a, base: cfg.Transport}, CheckRedirect: stay},
			URL:        clerk.String(strings.TrimSuffix(strings.TrimSuffix(cfg.URL, "/"), "/v1") + "/v1"),
			Key:        clerk.String(key),
		})
		return &b
	}
	a.backend.Store(a.dial(cfg.SecretKey))
	return a, nil
}

// stay keeps a redirect from being followed: the key would go where it leads, in the clear too, and what answers there would be believed.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func checkKey(key string) error {
	if !strings.HasPrefix(key, "sk_test_") && !strings.HasPrefix(key, "sk_live_") || strings.ContainsAny(key, " \t\r\n") {
		return errors.New("opening Clerk's API: the secret key must start with sk_test_ or sk_live_ and have no space or line end; copy it from Clerk's dashboard")
	}
	return nil
}

func checkURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.User != nil:
		return errors.New("opening Clerk's API: the URL must look like https://api.clerk.com")
	case u.Scheme == "http" && !loopback.Is(u.Hostname()):
		return errors.New("opening Clerk's API: the URL must begin with https:// where it is not on this machine, since the secret key is sent there")
	}
	return nil
}

// call is one request with all its tries. The transport fills in the answer, since the SDK's own decoding refuses a whole page
// for one user's metadata, and loses the status of errors that are not JSON.
type call struct {
	endpoint string
	patience patience
	tries    int

	started time.Time // of the try that was answered
	status  int
	header  http.Header
	body    []byte
	memory  *bytes.Buffer // of the body
}

// patience is how much time a call may take.
type patience struct {
	tries   uint          // at most
	perTry  time.Duration // until the body has been read
	overall time.Duration
	pass    bool // keeps to the share of the limit, and waits while Clerk asks for it
}

var (
	passPatience  = patience{tries: 8, perTry: 30 * time.Second, overall: 5 * time.Minute, pass: true}
	loginPatience = patience{tries: 2, perTry: 3 * time.Second, overall: 5 * time.Second}
)

type callKey struct{}

// get makes one GET request and returns its answer, whatever the status. The error is [ErrUnavailable] where none came.
func (a *API) get(ctx context.Context, b clerk.Backend, endpoint, path string, query url.Values, p patience) (*call, error) {
	c := &call{endpoint: endpoint, patience: p}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, callKey{}, c), p.overall)
	defer cancel()
	req := clerk.NewAPIRequest(http.MethodGet, path)
	req.SetParams(params(query))
	err := b.Call(ctx, req, c)
	if c.status == 0 {
		return c, fmt.Errorf("asking Clerk for %s: %w: %w", endpoint, ErrUnavailable, plainNetError(err))
	}
	if c.status == http.StatusUnauthorized {
		a.forgetInstance()
	}
	return c, nil
}

// Read takes the SDK's answer, of which the transport has kept everything already.
func (c *call) Read(*clerk.APIResponse) {}

// notFound reports whether Clerk says that it does not have the object: a proxy's 404 says nothing of it.
func (c *call) notFound() bool {
	return c.status == http.StatusNotFound && errorCode(c.body) == "resource_not_found"
}

// notEnabled are the codes by which Clerk refuses a request about what the instance does not use; domains can be off by themselves.
var notEnabled = []string{"organization_not_enabled_in_instance", "organization_domains_not_enabled", "feature_not_enabled"}

// failure describes an answer that is neither the object nor its absence.
func (c *call) failure() error {
	switch {
	case c.status == http.StatusForbidden && slices.Contains(notEnabled, errorCode(c.body)):
		return fmt.Errorf("asking Clerk for %s: %w", c.endpoint, ErrNotEnabled)
	case c.status == http.StatusUnauthorized, c.status == http.StatusForbidden:
		return fmt.Errorf("asking Clerk for %s: it refuses the secret key (HTTP %d): %w", c.endpoint, c.status, ErrUnavailable)
	default:
		return fmt.Errorf("asking Clerk for %s: HTTP %d: %w", c.endpoint, c.status, ErrUnavailable)
	}
}

// params are query parameters as the SDK wants them.
type params url.Values

func (p params) ToQuery() url.Values                  { return url.Values(p) }
func (p params) ToMultipart() ([]byte, string, error) { return nil, "", nil }

// plainNetError drops the URL from a network error, since its query can hold ids and e-mails.
func plainNetError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	if err == nil {
		return errors.New("no answer")
	}
	return err
}

func (a *API) forgetInstance() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.instance = ""
}
