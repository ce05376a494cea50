package clerktest

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 1 << 20

// endpointFunc answers one request of the Backend API.
type endpointFunc func(w *writer, r *http.Request) *apiError

// newRoutes is the whole surface: Clerk's Backend API, as the official SDKs
// call it, and the emulator's own controls.
func (c *Clerk) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, endpoint := range map[string]endpointFunc{
		"GET /v1/instance": c.getInstance,
		"GET /v1/jwks":     c.getJWKS,

		"GET /v1/users":                            c.listUsers,
		"POST /v1/users":                           c.postUser,
		"GET /v1/users/count":                      c.countUsers,
		"GET /v1/users/{id}":                       c.getUser,
		"PATCH /v1/users/{id}":                     c.patchUser,
		"DELETE /v1/users/{id}":                    c.removeUser,
		"PATCH /v1/users/{id}/metadata":            c.patchMetadata,
		"PUT /v1/users/{id}/metadata":              c.putMetadata,
		"POST /v1/users/{id}/ban":                  c.postState((*Clerk).banUser, true),
		"POST /v1/users/{id}/unban":                c.postState((*Clerk).banUser, false),
		"POST /v1/users/{id}/lock":                 c.postState((*Clerk).lockUser, true),
		"POST /v1/users/{id}/unlock":               c.postState((*Clerk).lockUser, false),
		"GET /v1/sessions":                         c.listSessions,
		"POST /v1/sessions":                        c.postSession,
		"GET /v1/sessions/{id}":                    c.getSession,
		"POST /v1/sessions/{id}/revoke":            c.revokeSession,
		"POST /v1/sessions/{id}/tokens":            c.postToken,
		"POST /v1/sessions/{id}/tokens/{template}": c.postToken,

		"/v1/": func(_ *writer, r *http.Request) *apiError { return errNoRoute(r) },
	} {
		mux.Handle(pattern, c.api(pattern, endpoint))
	}
	for _, routes := range []map[string]endpointFunc{c.organizationRoutes(), c.memberRoutes(), c.invitationRoutes(), c.roleRoutes()} {
		for pattern, endpoint := range routes {
			if c.config.NoOrganizations && strings.Contains(pattern, "/organization") {
				endpoint = func(*writer, *http.Request) *apiError { return errNoOrganizations() }
			}
			mux.Handle(pattern, c.api(pattern, endpoint))
		}
	}
	mux.HandleFunc("GET /_emulator/state", c.getState)
	mux.HandleFunc("POST /_emulator/faults", c.postFaults)
	mux.HandleFunc("POST /_emulator/resend", c.postResend)
	return mux
}

// ServeHTTP answers the Backend API under /v1 and the controls under
// /_emulator.
func (c *Clerk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", c.now().UTC().Format(http.TimeFormat))
	c.routes.ServeHTTP(w, r)
}

// api wraps an endpoint with what all of them share: faults, the rate limit,
// the key, the request log.
func (c *Clerk) api(pattern string, endpoint endpointFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.config.OnRequest != nil {
			c.config.OnRequest(r)
		}
		faults := c.Faults()
		if !c.pause(r, faults) {
			c.log.add(pattern, r, 0)
			panic(http.ErrAbortHandler) // the client has left
		}
		if status := c.broken(w, faults); status != 0 {
			c.log.add(pattern, r, status)
			return
		}
		out, status := &writer{}, http.StatusOK
		if err := c.admit(w, r, faults, out, endpoint); err != nil {
			out.buf, status = out.buf[:0], err.status
			err.appendJSON(out, c.trace(w))
		}
		c.log.add(pattern, r, status)
		if out.gzipped || c.gzips(r) {
			if !out.gzipped {
				out.gzip()
			}
			w.Header().Set("Content-Encoding", "gzip")
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(out.buf)))
		w.WriteHeader(status)
		_, _ = w.Write(out.buf) // a client that left needs no answer
	})
}

// pause spends the latency, and reports false when the client gave up first.
func (c *Clerk) pause(r *http.Request, faults Faults) bool {
	if c.hit(faults.Hang) {
		<-r.Context().Done()
		return false
	}
	if faults.Latency == 0 {
		return true
	}
	timer := time.NewTimer(faults.Latency)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// broken answers with one of the failures that a client meets: JSON of Clerk,
// HTML of a proxy. It returns 0 if the request is not hit.
func (c *Clerk) broken(w http.ResponseWriter, faults Faults) (status int) {
	if !c.hit(faults.ErrorRate) {
		return 0
	}
	c.draws.Lock()
	which := c.apiDice.IntN(3)
	c.draws.Unlock()
	if which == 0 {
		http.Error(w, "<html><body><h1>502 Bad Gateway</h1></body></html>", http.StatusBadGateway)
		return http.StatusBadGateway
	}
	err := errUnavailable()
	if which == 1 {
		err = errInternal()
	}
	out := &writer{}
	err.appendJSON(out, c.trace(w))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(err.status)
	_, _ = w.Write(out.buf)
	return err.status
}

// admit lets a request through to its endpoint.
func (c *Clerk) admit(w http.ResponseWriter, r *http.Request, faults Faults, out *writer, endpoint endpointFunc) *apiError {
	if wait := c.limit.take(faults.RateLimit); wait > 0 {
		w.Header().Set("Retry-After", retryAfter(wait))
		return errTooMany()
	}
	token, ok := bearer(r)
	switch {
	case !ok:
		return errUnauthenticated()
	case token != c.config.SecretKey || faults.Unauthorized:
		return errWrongKey()
	}
	return endpoint(out, r)
}

func bearer(r *http.Request) (string, bool) {
	const scheme = "Bearer "
	header := r.Header.Get("Authorization")
	if len(header) <= len(scheme) || header[:len(scheme)] != scheme {
		return "", false
	}
	return header[len(scheme):], true
}

// trace makes the id that an error's body and header carry.
func (c *Clerk) trace(w http.ResponseWriter) string {
	c.draws.Lock()
	defer c.draws.Unlock()
	var raw [16]byte
	for i := range raw {
		raw[i] = byte(c.apiDice.Uint32())
	}
	id := hex.EncodeToString(raw[:])
	w.Header().Set("Clerk-Trace-Id", id)
	return id
}

// hit draws whether a fault of the API strikes.
func (c *Clerk) hit(p float64) bool {
	if p == 0 {
		return false
	}
	c.draws.Lock()
	defer c.draws.Unlock()
	return c.apiDice.hit(p)
}

// requestOrigin is what events tell about the request that caused them.
func requestOrigin(r *http.Request) origin {
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = "127.0.0.1" // no TCP, as in a test over a pipe
	}
	return origin{ip, r.UserAgent()}
}

// readBody reads a JSON object. An empty body and null are an empty object: so
// the SDKs send requests without parameters.
func readBody(r *http.Request) (body, *apiError) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(raw) > maxBody {
		return nil, errBody()
	}
	if len(raw) == 0 {
		return body{}, nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errContentType(r.Header.Get("Content-Type"))
	}
	var out body
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, errBody()
	}
	return out, nil
}
