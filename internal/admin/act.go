package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	clerksync "github.com/clerksync/clerksync/sync"
)

// told is what an operator is told after an act.
type told struct {
	ID   string `json:"id,omitempty"`
	Told string `json:"told"`
}

// act returns the handler of a POST about one id.
func (h *handler) act(do func(context.Context, string) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		if do == nil {
			h.tell(w, r, http.StatusConflict, "this needs CLERK_SECRET_KEY", failure{"this needs CLERK_SECRET_KEY"})
			return
		}
		text, err := do(r.Context(), id)
		switch {
		case errors.Is(err, clerksync.ErrUnavailable):
			h.tell(w, r, http.StatusServiceUnavailable, err.Error(), failure{err.Error()})
		case err != nil:
			h.tell(w, r, http.StatusConflict, err.Error(), failure{err.Error()})
		default:
			h.tell(w, r, http.StatusOK, text, told{id, text})
		}
	}
}

func (h *handler) reconcile(w http.ResponseWriter, r *http.Request) {
	if h.Reconcile == nil {
		const why = "there is no CLERK_SECRET_KEY to read Clerk with"
		h.tell(w, r, http.StatusConflict, why, failure{why})
		return
	}
	if err := h.Reconcile(); err != nil {
		code := http.StatusServiceUnavailable
		if errors.Is(err, ErrBusy) {
			code = http.StatusConflict
		}
		h.tell(w, r, code, err.Error(), failure{err.Error()})
		return
	}
	h.tell(w, r, http.StatusAccepted, "a full pass begins", struct {
		Started bool `json:"started"`
	}{true})
}

// tell answers a POST as whoever sent it can read: a line for the open page, a page of its own for a browser that runs no script, or
// JSON.
func (h *handler) tell(w http.ResponseWriter, r *http.Request, code int, text string, v any) {
	line := struct {
		OK   bool
		Text string
		Base
	}{code < 400, text, base()}
	switch {
	case r.Header.Get("HX-Request") == "true":
		html(w, code)
		show(w, "told", line)
	case strings.Contains(r.Header.Get("Accept"), "text/html"):
		html(w, code)
		show(w, "told-page", line)
	default:
		answer(w, code, v)
	}
}
