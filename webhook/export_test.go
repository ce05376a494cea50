package webhook

import (
	"net/http"

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
