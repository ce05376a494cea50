package webhook

import (
	"errors"
	"net/http"

	"github.com/clerksync/clerksync/internal/crash"
	clerksync "github.com/clerksync/clerksync/sync"
)

// The two halves of a delivery that cost time without a database, for the benchmarks.

// VerifyForTest checks a request's signature headers as the handler does, and returns the reason for a refusal.
func (h *Handler) VerifyForTest(header http.Header, body []byte) string {
	m, reason := readMessage(header)
	if reason != "" {
		return reason
	}
	_, reason = h.keys.Load().verify(m, body)
	return reason
}

// DecodeForTest decodes a verified body as the handler does, and returns how many pieces of evidence it has.
func DecodeForTest(body []byte) (int, error) {
	_, evidence, err := decode(body, func(clerksync.Kind) bool { return true })
	return len(evidence), err
}

// UnreadForTest returns what is kept of a body that makes decoding panic with a value; nil if it is taken for another error.
func UnreadForTest(body []byte, value any) *clerksync.Event {
	_, _, err := decode(body, func(clerksync.Kind) bool { panic(value) })
	if panicked := new(crash.Error); errors.As(err, &panicked) {
		return unread(panicked)
	}
	return nil
}
