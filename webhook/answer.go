package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Delivery is what [Config].Observe learns about one request. It holds no ids and no personal data, so that all of it may become
// the labels and values of metrics. Type, Outcome and OccurredAt are set for verified events only.
type Delivery struct {
	// Code is the HTTP status answered, or 499 where the request was over before there was one: the client had gone, the body could
	// not be read to its end, or the request's context ended. Whoever listens all the same gets a 503.
	Code int

	// Reason says in one word why Code is not 204; it is empty if it is. Of a 401 it is missing, duplicate or conflict (the
	// headers), id or timestamp (not well formed), old or future (outside the tolerance) or signature. Else it is method,
	// encoding, oversized, slow, malformed, unavailable, overload, draining or gone.
	Reason string

	// Secret tells which of the signing secrets verified the delivery, counted from 1; 0 if none did.
	Secret int

	Type       string            // the event's type, such as user.updated
	Outcome    clerksync.Outcome // what the event did to the mirror; empty unless Code is 204
	Foreign    bool              // it was ignored because it belongs to another Clerk instance
	OccurredAt time.Time         // the event's timestamp; zero if it has none
	Lag        time.Duration     // from OccurredAt to the commit; zero unless both are known
	Duration   time.Duration     // from the request's head to the answer
}

// delivery is a Delivery and what only the log is told.
type delivery struct {
	Delivery
	id    string // the verified message id
	cause string // why the event waits, as the events table has it
	err   error
}

// statusGone is what nginx made usual for a client that closes the connection before the answer.
const statusGone = 499

func refused(code int, reason string) delivery {
	return delivery{Delivery: Delivery{Code: code, Reason: reason}}
}

// settle makes the delivery a success.
func (d *delivery) settle(r clerksync.Result) {
	d.Code, d.Outcome, d.Foreign, d.cause = http.StatusNoContent, r.Outcome, r.Foreign, r.Reason
	if !d.OccurredAt.IsZero() {
		d.Lag = time.Since(d.OccurredAt)
	}
}

// telling returns the result that tells what became of an event, as the events table has it: that of its first piece of evidence that
// waits or, if none does, of its first one.
func telling(results []clerksync.Result) clerksync.Result {
	return results[max(0, slices.IndexFunc(results, func(r clerksync.Result) bool { return r.Outcome.Waits() }))]
}

// retryAfter is in seconds. Svix delivers by its own schedule; proxies and testers heed it.
const retryAfter = "5"

// answer writes the response. A failed verification is answered alike whatever failed, so that nobody can feel his way.
func (d *delivery) answer(w http.ResponseWriter) {
	text := ""
	switch d.Code {
	case http.StatusNoContent:
		w.WriteHeader(http.StatusNoContent)
		return
	case statusGone: // the client may be there all the same: saying nothing would be a 200
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case http.StatusUnauthorized:
		text = "the delivery could not be verified"
	case http.StatusBadRequest:
		w.Header().Set("Webhook-Delivery", "abort-message") // Svix stops delivering this message
		text = "the body is not an event"
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
		text = "events are posted"
	case http.StatusRequestTimeout:
		w.Header().Set("Connection", "close")
		text = "the body did not come in time"
	case http.StatusRequestEntityTooLarge:
		text = "the body is over 1 MiB, or over the limit of a middleware"
	case http.StatusUnsupportedMediaType:
		text = "the body must not be encoded"
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
		text = "try again later"
	}
	http.Error(w, text, d.Code)
}

// report tells the log and the observer.
func (h *Handler) report(ctx context.Context, d delivery) {
	if h.cfg.Observe != nil {
		h.cfg.Observe(d.Delivery)
	}
	level, message := d.headline()
	if !h.cfg.Logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.Int("code", d.Code)}
	if d.Secret == 0 { // anybody can send these, as many as he likes: they must not fill the disk
		if !h.strange.Allow() {
			h.untold.Add(1)
			return
		}
		if n := h.untold.Swap(0); n > 0 {
			attrs = append(attrs, slog.Int64("untold", n))
		}
	}
	for _, a := range []struct{ name, value string }{
		{"reason", d.Reason}, {"type", d.Type}, {"event", d.id}, {"outcome", string(d.Outcome)}, {"cause", d.cause},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.name, a.value))
		}
	}
	if d.err != nil {
		attrs = append(attrs, slog.Any("error", d.err))
	}
	h.cfg.Logger.LogAttrs(ctx, level, message, attrs...)
}

func (d *delivery) headline() (slog.Level, string) {
	switch {
	case d.Outcome == clerksync.Quarantined:
		return slog.LevelWarn, "event quarantined"
	case d.Outcome == clerksync.Deferred:
		return slog.LevelWarn, "event deferred"
	case d.Code == http.StatusNoContent:
		return slog.LevelDebug, "event committed"
	case d.Reason == "overload": // a flood must not fill the log; the metric counts it
		return slog.LevelDebug, "delivery put off"
	case d.Code == http.StatusServiceUnavailable:
		return slog.LevelError, "delivery put off"
	case d.Code == http.StatusBadRequest:
		return slog.LevelWarn, "delivery refused"
	default:
		return slog.LevelInfo, "delivery refused"
	}
}
