package admin

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"title": func(kind string) string { return strings.ToUpper(kind[:1]) + strings.ReplaceAll(kind[1:], "_", " ") },
	"ref":   func(t time.Time) *time.Time { return &t },
	"ago": func(t *time.Time) string {
		if t == nil {
			return "never"
		}
		return time.Since(*t).Round(time.Second).String() + " ago"
	},
}).Parse(pageText))

// page answers the status page: plain HTML that shows what /api/status tells, and loads nothing from anywhere.
func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	health := h.Health(r.Context())
	shown := struct {
		Health Health
		Status Status
		Error  string
		Now    time.Time
	}{Health: health, Now: time.Now().UTC()}
	if s, err := h.Status(r.Context()); err != nil {
		shown.Error = err.Error()
	} else {
		shown.Status = s
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = pageTemplate.Execute(w, shown) // the client has gone
}
