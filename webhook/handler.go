package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/clerksync/clerksync/internal/crash"
	clerksync "github.com/clerksync/clerksync/sync"
)

// Config configures a [Handler]. Mirror and Secrets must be set. Printed or logged, it tells how many secrets there are and not
// which.
type Config struct {
	// Mirror takes the evidence.
	Mirror *clerksync.Mirror

	// Secrets are the signing secrets of the endpoint, as Clerk's dashboard shows them: "whsec_" and base64 of at least 24 bytes.
	// A delivery that any of them signed is verified, so that one can be rotated out, or two endpoints can share a URL.
	Secrets []string

	// MaxInFlight is how many verified deliveries are worked on at once; one more is answered 503. Zero means 1024.
	MaxInFlight int

	// Logger is told about each delivery: type, message id, outcome and status, never what the event holds. Of requests that no secret
	// verified, which anybody can send, it is told the first hundred and then one a second. Nil means silence.
	Logger *slog.Logger

	// Observe is called once a delivery, after its answer is decided, possibly from many goroutines at once. Nil means not.
	Observe func(Delivery)

	// OnConflict is called where an event contradicts what the mirror knows about an object, so that a read of the object by id
	// would be worth its request; see [clerksync.Result]. It must not block, and may be called from many goroutines at once. Nil
	// means that the next pass settles it.
	OnConflict func(kind clerksync.Kind, id string)
}

// Format implements [fmt.Formatter], for every verb.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "webhook.Config{Secrets: %d × [redacted], MaxInFlight: %d}", len(c.Secrets), c.MaxInFlight)
}

// Handler answers Clerk's deliveries. It serves any number of requests at once, at whatever path it is mounted.
type Handler struct {
	cfg      Config
	keys     atomic.Pointer[keys]
	readers  slots // reads of bodies that may be large
	applying slots // verified deliveries, so that nobody without a secret can take one
	draining atomic.Bool
	strange  *rate.Limiter // what the log is told of requests that no secret verified
	untold   atomic.Int64  // those since of which it was not
}

const (
	defaultMaxInFlight = 1024
	maxReaders         = 64               // as many mebibytes may come from anybody at once, and half as many again while buffers grow
	applyTimeout       = 12 * time.Second // Svix waits 15 s for an answer
	strangers          = 100              // at once, and one a second: some 10 MB a day in the log
)

// slots bound how many do something at once. Nobody waits for one.
type slots chan struct{}

func (s slots) take() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s slots) leave() { <-s }

// NewHandler is like [New] for programs that set their endpoint up in one expression: it panics where New returns an error, with
// the same sentence, which never quotes a secret.
func NewHandler(cfg Config) *Handler {
	h, err := New(cfg)
	if err != nil {
		panic("webhook: " + err.Error())
	}
	return h
}

// New returns a handler, or an error that says which setting to correct and how; it never quotes a secret. A handler that could
// verify nothing, or anything, is never made.
func New(cfg Config) (*Handler, error) {
	if cfg.Mirror == nil {
		return nil, errors.New("making the webhook handler: Config.Mirror is missing")
	}
	keys, err := parseSecrets(cfg.Secrets)
	if err != nil {
		return nil, err
	}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = defaultMaxInFlight
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Secrets = nil // whoever prints a handler prints its configuration
	h := &Handler{cfg: cfg, readers: make(slots, maxReaders), applying: make(slots, cfg.MaxInFlight), strange: rate.NewLimiter(1, strangers)}
	h.keys.Store(&keys)
	return h, nil
}

// SetSecrets replaces the signing secrets, for those of the deliveries that are verified from now on. After an error, which is one
// of [New]'s, the old ones stay.
func (h *Handler) SetSecrets(secrets []string) error {
	keys, err := parseSecrets(secrets)
	if err != nil {
		return err
	}
	h.keys.Store(&keys)
	return nil
}

// Drain makes the handler answer 503 to every delivery that begins from now on; those in flight are finished. Clerk delivers the
// refused ones again.
func (h *Handler) Drain() { h.draining.Store(true) }

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	d := h.receive(w, r)
	d.Duration = time.Since(begun)
	d.answer(w)
	h.report(r.Context(), d)
}

// receive takes a request through the door, its verification and its parse to the mirror.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) delivery {
	if code, reason := h.door(r); code != 0 {
		return refused(code, reason)
	}
	m, reason := readMessage(r.Header)
	if reason != "" {
		return refused(http.StatusUnauthorized, reason)
	}
	body, code, reason := h.readBody(w, r)
	if code != 0 {
		return refused(code, reason)
	}
	secret, reason := h.keys.Load().verify(m, body)
	if reason != "" {
		return refused(http.StatusUnauthorized, reason)
	}
	if !h.applying.take() {
		return refused(http.StatusServiceUnavailable, "overload")
	}
	defer h.applying.leave()
	// Its whole seconds stand for half a second more on average.
	h.cfg.Mirror.NoteDelivery(m.signed.Add(500 * time.Millisecond))
	d := h.apply(r.Context(), m.id, body)
	d.Secret = secret
	return d
}

// apply merges what a verified body tells.
func (h *Handler) apply(ctx context.Context, id string, body []byte) delivery {
	event, evidence, err := decode(body, h.cfg.Mirror.Mirrors)
	if panicked := new(crash.Error); errors.As(err, &panicked) {
		event, err = unread(panicked), nil
		evidence = ofNothing(event)
	}
	d := delivery{id: id, err: err}
	if err != nil {
		d.Code, d.Reason = http.StatusBadRequest, "malformed"
		return d
	}
	event.ID, event.ReceivedAt = id, time.Now()
	d.Type, d.OccurredAt = event.Type, event.OccurredAt

	within, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	results, err := h.cfg.Mirror.Apply(within, evidence...)
	switch {
	case err != nil && ctx.Err() != nil:
		d.Code, d.Reason = statusGone, "gone"
	case err != nil:
		d.Code, d.Reason, d.err = http.StatusServiceUnavailable, "unavailable", err
	default:
		d.settle(telling(results))
		h.tellConflicts(evidence, results)
	}
	return d
}

func (h *Handler) tellConflicts(evidence []clerksync.Evidence, results []clerksync.Result) {
	for i, result := range results {
		if result.Conflict && h.cfg.OnConflict != nil {
			h.cfg.OnConflict(evidence[i].Kind, idOf(evidence[i]))
		}
	}
}
