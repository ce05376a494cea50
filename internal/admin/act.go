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
			refuse(w, r, http.StatusConflict, "this needs CLERK_SECRET_KEY")
			return
		}
		text, err := do(r.Context(), id)
		switch {
		case errors.Is(err, clerksync.ErrUnavailable):
			refuse(w, r, http.StatusServiceUnavailable, err.Error())
		case err != nil:
			refuse(w, r, http.StatusConflict, err.Error())
		default:
			tell(w, r, http.StatusOK, text, told{id, text})
		}
	}
}

func (h *handler) reconcile(w http.ResponseWriter, r *http.Request) {
	if h.Reconcile == nil {
		refuse(w, r, http.StatusConflict, "there is no CLERK_SECRET_KEY to read Clerk with")
		return
	}
	if err := h.Reconcile(r.Context()); err != nil {
		code := http.StatusServiceUnavailable
		if errors.Is(err, ErrBusy) {
			code = http.StatusConflict
		}
		refuse(w, r, code, err.Error())
		return
	}
	tell(w, r, http.StatusAccepted, "a full pass begins", struct {
		Started bool `json:"started"`
	}{true})
}

// refuse answers a POST that did nothing.
func refuse(w http.ResponseWriter, r *http.Request, code int, why string) {
	tell(w, r, code, why, failure{why})
}

// tell answers a POST as whoever sent it can read: a line for the open page, a page of its own for a browser that runs no script, or
// JSON.
func tell(w http.ResponseWriter, r *http.Request, code int, text string, v any) {
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
