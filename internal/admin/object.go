package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// shownObject is what an object's page shows.
type shownObject struct {
	Base
	Object
	Kind    clerksync.Kind
	ID      string
	Known   bool
	Heading string // of the error
	Error   string
	JSON    string // what is kept of Clerk's object, for people
	Acts    Acts
}

// find answers the form that asks for an object by its id.
func (h *handler) find(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimSpace(r.FormValue("id"))
	to := link(id)
	if to == "" {
		h.showObject(w, http.StatusNotFound, shownObject{ID: id, Error: "This is no id of anything that clerksync mirrors: those begin like user_ or org_."})
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// object answers the page of one object. It is personal data, so it is for those alone who are admitted to this listener.
func (h *handler) object(w http.ResponseWriter, r *http.Request) {
	s := shownObject{Kind: clerksync.Kind(r.PathValue("kind")), ID: r.PathValue("id"), Acts: h.Acts}
	kind, known := clerksync.KindOfID(s.ID)
	if h.Object == nil || !known || kind != s.Kind {
		s.Error = "There is no such page."
		h.showObject(w, http.StatusNotFound, s)
		return
	}
	var err error
	s.Object, s.Known, err = h.Object(r.Context(), s.Kind, s.ID)
	switch {
	case err != nil:
		s.Error = err.Error()
		h.showObject(w, http.StatusServiceUnavailable, s)
	case !s.Known && len(s.Events) == 0:
		s.Error = "The mirror knows nothing of it: it never was, or Clerk has not told yet."
		h.showObject(w, http.StatusNotFound, s)
	default:
		s.JSON = indented(s.Stored.Data)
		h.showObject(w, http.StatusOK, s)
	}
}

func (h *handler) showObject(w http.ResponseWriter, code int, s shownObject) {
	s.Base, s.Heading = base(), "Not found"
	if code == http.StatusServiceUnavailable {
		s.Heading = "No answer"
	}
	html(w, code)
	show(w, "object-page", s)
}

func indented(raw []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return ""
	}
	return b.String()
}

// Restorable reports whether the object is deleted and whole.
func (s shownObject) Restorable() bool {
	return s.Known && s.Acts.Restore != nil && s.Stored.DeletedAt != nil && s.Kind.Askable()
}

// At returns a time that may be nil.
func (shownObject) At(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// Heard returns when the mirror was told of the object last.
func (s shownObject) Heard() *time.Time { return &s.Stored.SyncedAt }
