package webhook

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	maxBody     = 1 << 20
	usualBody   = 64 << 10         // Clerk's events have 2 to 20 KiB; so much memory a body may claim before it has come
	readTimeout = 10 * time.Second // for the body
)

// door turns away what needs no look at the headers of the signature. A zero code lets the request in.
func (h *Handler) door(r *http.Request) (code int, reason string) {
	if r.Method != http.MethodPost {
		return http.StatusMethodNotAllowed, "method"
	}
	if h.draining.Load() {
		return http.StatusServiceUnavailable, "draining"
	}
	for _, encoding := range r.Header.Values("Content-Encoding") {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return http.StatusUnsupportedMediaType, "encoding"
		}
	}
	if r.ContentLength > maxBody {
		return http.StatusRequestEntityTooLarge, "oversized"
	}
	return 0, ""
}

// readBody reads the whole body as it came. A zero code means that it did. Anybody may send a large body slowly, so there are only
// so many of these at once, and they are in nobody's way who sends a body of the usual size.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) (body []byte, code int, reason string) {
	if r.ContentLength < 0 || r.ContentLength > usualBody {
		if !h.readers.take() {
			return nil, http.StatusServiceUnavailable, "overload"
		}
		defer h.readers.leave()
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(readTimeout)) // not every ResponseWriter can; then the server's own limit holds
	var b bytes.Buffer
	b.Grow(int(min(max(r.ContentLength, 0), usualBody)) + bytes.MinRead)
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	var oversized *http.MaxBytesError
	switch {
	case errors.As(err, &oversized):
		return nil, http.StatusRequestEntityTooLarge, "oversized"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, http.StatusRequestTimeout, "slow"
	case err != nil:
		return nil, statusGone, "gone"
	}
	_ = control.SetReadDeadline(time.Time{}) // the server goes on reading, to notice a client that leaves
	return b.Bytes(), 0, ""
}
