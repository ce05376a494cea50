package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/loopback"
)

// Config configures the handler. Status, Health and Metrics are required.
type Config struct {
	// Token returns what is asked for by everything but /livez and /readyz. Where it is nil or returns nil, nothing is asked for,
	// and only requests whose Host is this machine are answered. It may be called by many goroutines at once.
	Token func() *string

	// Refused is called for each request that brought a wrong token. Nil means not.
	Refused func()

	// Status returns what the status page shows.
	Status func(context.Context) (Status, error)

	// Health tells whether the process is fit for work. It must return within a few seconds.
	Health func(context.Context) Health

	// Reconcile starts a full pass and returns without waiting for it; [ErrBusy] means that one is running. Nil means that there is
	// no secret key to run one with.
	Reconcile func(context.Context) error

	// Changes answers /api/changes, to operators alone. Nil means that there is no such path.
	Changes http.Handler

	// Metrics answers /metrics.
	Metrics http.Handler

	// Board reads what the tables of the status page show. Nil means that it has none.
	Board func(context.Context) (Board, error)

	// Object reads what is known of one object, and reports false of one that the mirror does not know. Nil means that there are no
	// such pages.
	Object func(ctx context.Context, k clerksync.Kind, id string) (Object, bool, error)

	// Acts are offered to operators.
	Acts Acts

	// Samples are what the charts of the status page show. Nil means that it has none.
	Samples *Samples

	// Closing, once it is closed, ends the live updates of open pages. Nil means that they last until the browser leaves.
	Closing <-chan struct{}
}

// ErrBusy is what Config.Reconcile returns while a pass is running.
var ErrBusy = errors.New("a pass is running: the status tells when it has ended")

// Health is the answer of /readyz.
type Health struct {
	Ready    bool     `json:"ready"`
	Reasons  []string `json:"reasons"`            // why not; empty if ready
	Warnings []string `json:"warnings,omitempty"` // what an operator should look at although deliveries are taken
}

type handler struct{ Config }

// NewHandler returns the handler of the admin listener.
func NewHandler(cfg Config) http.Handler {
	h := &handler{cfg}
	if cfg.Board != nil {
		h.Board = Recent(cfg.Board, SampleTime/2) // all open pages share a read, and none waits for it twice as long
	}
	private := http.NewServeMux()
	private.Handle("GET /metrics", cfg.Metrics)
	private.HandleFunc("GET /api/status", h.status)
	private.HandleFunc("GET /api/samples", h.samples)
	if cfg.Changes != nil {
		private.Handle("GET /api/changes", cfg.Changes)
	}
	private.HandleFunc("POST /api/reconcile", h.reconcile)
	private.HandleFunc("POST /api/events/{id}/retry", h.act(cfg.Acts.Retry))
	private.HandleFunc("POST /api/events/{id}/drop", h.act(cfg.Acts.Drop))
	private.HandleFunc("POST /api/objects/{id}/restore", h.act(cfg.Acts.Restore))
	private.HandleFunc("GET /{$}", h.page)
	private.HandleFunc("GET /live", h.live)
	private.HandleFunc("GET /objects", h.find)
	private.HandleFunc("GET /objects/{kind}/{id}", h.object)
	private.Handle("GET /assets/{version}/{file}", assets())

	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, Health{Ready: true, Reasons: []string{}})
	})
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("/", http.NewCrossOriginProtection().Handler(h.guarded(private)))
	return guiding(mux)
}

// guarded lets only operators through.
func (h *handler) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := h.token()
		switch {
		case token != nil && !authorized(r, *token):
			if r.Header.Get("Authorization") != "" && h.Refused != nil { // browsers bring none at first
				h.Refused()
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="clerksync", charset="UTF-8"`)
			http.Error(w, "CLERKSYNC_ADMIN_TOKEN is needed: as a bearer token, or as the password of basic authentication", http.StatusUnauthorized)
		case token == nil && !namesThisMachine(r.Host):
			http.Error(w, "without CLERKSYNC_ADMIN_TOKEN only requests to 127.0.0.1, [::1] and localhost are answered", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (h *handler) token() *string {
	if h.Token == nil {
		return nil
	}
	return h.Token()
}

func authorized(r *http.Request, token string) bool {
	told, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		_, told, _ = r.BasicAuth()
	}
	given, wanted := sha256.Sum256([]byte(told)), sha256.Sum256([]byte(token)) // of equal length, whatever is given
	return subtle.ConstantTimeCompare(given[:], wanted[:]) == 1
}

func namesThisMachine(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	return loopback.Is(host)
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	health := h.Health(r.Context())
	code := http.StatusOK
	if !health.Ready {
		code = http.StatusServiceUnavailable
	}
	if health.Reasons == nil {
		health.Reasons = []string{}
	}
	answer(w, code, health)
}

func (h *handler) status(w http.ResponseWriter, r *http.Request) {
	s, err := h.Status(r.Context())
	if err != nil {
		answer(w, http.StatusServiceUnavailable, failure{err.Error()})
		return
	}
	answer(w, http.StatusOK, s.Judge(time.Now()))
}

func (h *handler) samples(w http.ResponseWriter, _ *http.Request) {
	if h.Samples == nil {
		answer(w, http.StatusOK, []Sample{})
		return
	}
	answer(w, http.StatusOK, h.Samples.Kept(0))
}

type failure struct {
	Error string `json:"error"`
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // nobody is left to be told
}
