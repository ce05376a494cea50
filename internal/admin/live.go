package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// live sends an open page what has changed on it, as server-sent events: regions of the page, which htmx puts in their places, and
// the points of the charts.
func (h *handler) live(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	s := &stream{handler: h, w: w, control: http.NewResponseController(w), sent: map[string]string{}, since: time.Now().Unix()}
	_ = s.control.SetReadDeadline(time.Time{}) // that of the request, which has been read
	ticker := time.NewTicker(SampleTime)
	defer ticker.Stop()
	for s.update(r) == nil {
		select {
		case <-r.Context().Done():
			return
		case <-h.Closing:
			return
		case <-ticker.C:
		}
	}
}

// stream is one open page.
type stream struct {
	*handler
	w       http.ResponseWriter
	control *http.ResponseController
	sent    map[string]string // by region
	since   int64             // of the last sample
}

// update sends what has changed since the last one. Its error is that the browser has left.
func (s *stream) update(r *http.Request) error {
	now := s.look(r.Context())
	if err := s.control.SetWriteDeadline(time.Now().Add(5 * SampleTime)); err != nil { // for the writing alone: the look may have taken longer
		return err
	}
	var b strings.Builder
	for _, region := range []string{"glance", "board"} {
		content := render(region, now)
		if s.sent[region] == content {
			continue
		}
		s.sent[region] = content
		fmt.Fprintf(&b, "<hx-partial hx-target=\"#%s\" hx-swap=\"innerMorph\">%s</hx-partial>\n", region, content)
	}
	if err := s.send("", b.String()); err != nil {
		return err
	}
	if s.Samples != nil {
		if some := s.Samples.Kept(s.since); len(some) > 0 {
			s.since = some[len(some)-1].At
			data, err := json.Marshal(some)
			if err != nil {
				return err
			}
			if err := s.send("samples", string(data)); err != nil {
				return err
			}
		}
	}
	return s.control.Flush()
}

// oneEnding makes all ends of lines alike. A carriage return ends a line of the stream, too, and what others name may hold one.
var oneEnding = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// send writes one event; without data it writes a comment, which shows that the line is open.
func (s *stream) send(event, data string) error {
	var b strings.Builder
	if event != "" {
		fmt.Fprintf(&b, "event: %s\n", event)
	}
	if data == "" {
		b.WriteString(":\n")
	} else {
		for line := range strings.Lines(oneEnding.Replace(data)) {
			fmt.Fprintf(&b, "data: %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
	b.WriteString("\n")
	_, err := s.w.Write([]byte(b.String()))
	return err
}
