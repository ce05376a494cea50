package admin

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

//go:embed view
var viewFiles embed.FS

var views = template.Must(template.New("").Funcs(template.FuncMap{
	"title":   title,
	"words":   func(name any) string { return words(fmt.Sprint(name)) },
	"machine": machine,
	"ago":     ago,
	"seconds": seconds,
	"clock":   clock,
	"milli":   milli,
	"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"link":    link,
	"segment": url.PathEscape, // of an address: the template would leave slashes as they are, and in hx- attributes everything
	"spent":   func(from, to time.Time) string { return span(to.Sub(from)) },
	"held":    func(e clerksync.Logged) bool { return e.Held() },
}).ParseFS(viewFiles, "view/*.html"))

// Base is what every page needs.
type Base struct {
	Assets string // where its files are
	Now    time.Time
}

func base() Base { return Base{"/assets/" + assetsVersion, time.Now().UTC()} }

// shown is what the status page shows.
type shown struct {
	Base
	Health  Health
	Judged  Judged
	Error   string
	Board   Board
	Tables  bool
	Charts  bool
	CanPass bool
	Acts    Acts
}

// lookTime bounds what the page waits for: the listener gives up on an answer soon after.
const lookTime = 10 * time.Second

// look reads what the status page shows.
func (h *handler) look(ctx context.Context) shown {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	s := shown{Base: base(), Health: h.Health(ctx), CanPass: h.Reconcile != nil, Acts: h.Acts, Charts: h.Samples != nil}
	status, err := h.Status(ctx)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	s.Judged = status.Judge(s.Now)
	if h.Board == nil {
		return s
	}
	if s.Board, err = h.Board(ctx); err != nil {
		s.Error = err.Error()
		return s
	}
	s.Tables = true
	return s
}

// Fine reports whether everything is as it should be.
func (s shown) Fine() bool {
	return s.Health.Ready && s.Error == "" && s.Judged.Healthy && len(s.Health.Warnings) == 0
}

// page answers the status page. It can be read without script, and then shows what was so when it was loaded.
func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	s := h.look(r.Context())
	html(w, http.StatusOK)
	show(w, "page", s)
}

// show writes a view. What fails is only that the client has gone.
func show(w io.Writer, name string, v any) { _ = views.ExecuteTemplate(w, name, v) }

func render(name string, v any) string {
	var b bytes.Buffer
	show(&b, name, v)
	return b.String()
}

func title(kind string) string {
	text := words(kind)
	if text == "" {
		return ""
	}
	return string(text[0]-'a'+'A') + text[1:]
}

// clock writes a time for people: the day only where it is not today's.
func clock(t, now time.Time) string {
	t = t.UTC()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format("Jan 2 15:04:05")
}

// milli writes an instant of the merge rule.
func milli(ms int64) string {
	if ms == clerksync.Never {
		return "never"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05.000")
}

// link returns the address of an object's page, or nothing for an id of no kind that is mirrored.
func link(id string) string {
	kind, known := clerksync.KindOfID(id)
	if !known {
		return ""
	}
	return "/objects/" + string(kind) + "/" + url.PathEscape(id)
}
