// Package outward makes the transports of requests to other machines, and reads how long an answer asks to wait.
package outward

import (
	"cmp"
	"net/http"
	"time"
)

// HTTP/2 puts all requests on one connection. Where that dies without a word, as when a NAT forgets it, each of them would time out and
// leave the next one on the same connection, for the quarter of an hour after which TCP gives it up. A ping that is not answered ends it.
const (
	silence = 5 * time.Second // then a ping is sent
	answer  = 5 * time.Second // then the connection is given up
)

// Transport returns a transport of its own, with Go's defaults and pings, or http.DefaultTransport where a program has wrapped that, to
// trace requests say.
func Transport() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	own := standard.Clone()
	if own.HTTP2 == nil {
		own.HTTP2 = &http.HTTP2Config{}
	}
	own.HTTP2.SendPingTimeout = cmp.Or(own.HTTP2.SendPingTimeout, silence)
	own.HTTP2.PingTimeout = cmp.Or(own.HTTP2.PingTimeout, answer)
	return own
}
