package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	main "github.com/clerksync/clerksync/cmd/clerksync"
	"github.com/clerksync/clerksync/internal/crash"
)

// hall serves a handler with little room. The path /wait keeps a request at work until release is called.
type hall struct {
	address string
	working chan struct{} // one for every request that has come to /wait
	release chan struct{}
	log     *output
}

func openHall(t *testing.T, room int) *hall {
	t.Helper()
	h := &hall{working: make(chan struct{}, 100), release: make(chan struct{}), log: new(output)}
	address, stop, err := main.Listen(t.Context(), room, slog.New(slog.NewTextHandler(h.log, nil)), h)
	if err != nil {
		t.Fatal(err)
	}
	h.address = address
	t.Cleanup(func() { _ = stop() })
	return h
}

func (h *hall) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/panic" {
		panic("a patient's name")
	}
	if r.Method != http.MethodGet {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	if r.URL.Path == "/wait" {
		h.working <- struct{}{}
		<-h.release
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *hall) enter(t *testing.T, says string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, says); err != nil && says != "" {
		t.Fatal(err)
	}
	return conn
}

// answer reads an answer's status; 0 means that the connection was closed, and -1 that nothing comes.
func answer(t *testing.T, conn net.Conn, within time.Duration) int {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return -1
	case err != nil:
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

const (
	whole = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"
	wait  = "POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"
)

// TestCrowd fills a listener with clients that never finish what they begin: each newcomer puts out the one that idles longest.
func TestCrowd(t *testing.T) {
	t.Parallel()
	h := openHall(t, 5)
	slow := []net.Conn{
		h.enter(t, ""), h.enter(t, "POST / HT"), h.enter(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\nhalf"),
	}
	kept := h.enter(t, whole)
	if got := answer(t, kept, 5*time.Second); got != http.StatusNoContent {
		t.Fatalf("answered %d while there was room", got)
	}
	busy := h.enter(t, wait)
	<-h.working
	for i, conn := range slow {
		if got := answer(t, h.enter(t, whole), 3*time.Second); got != http.StatusNoContent {
			t.Errorf("newcomer %d was answered %d, want 204", i, got)
		}
		if got := answer(t, conn, 3*time.Second); got != 0 {
			t.Errorf("the one that idled longest is still there after newcomer %d: %d", i, got)
		}
	}
	close(h.release)
	if got := answer(t, busy, 5*time.Second); got != http.StatusNoContent {
		t.Errorf("a request at work was answered %d, want 204: it must never be put out", got)
	}
	if _, err := io.WriteString(kept, whole); err != nil || answer(t, kept, 3*time.Second) != http.StatusNoContent {
		t.Error("one that was answered after the idle ones came is gone")
	}
}

// TestCrowdSparesRequestsWithoutBody has a request at work that has no body whose end could be read. Newcomers put out each other.
func TestCrowdSparesRequestsWithoutBody(t *testing.T) {
	t.Parallel()
	h := openHall(t, 3)
	busy := h.enter(t, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-h.working
	for i := range 3 {
		if got := answer(t, h.enter(t, whole), 3*time.Second); got != http.StatusNoContent {
			t.Errorf("newcomer %d was answered %d, want 204", i, got)
		}
	}
	close(h.release)
	if got := answer(t, busy, 5*time.Second); got != http.StatusNoContent {
		t.Errorf("a GET at work was answered %d, want 204: it must never be put out", got)
	}
}

// TestCrowdAtWork turns newcomers away where all who are inside are being served.
func TestCrowdAtWork(t *testing.T) {
	t.Parallel()
	h := openHall(t, 2)
	first, second := h.enter(t, wait), h.enter(t, wait)
	<-h.working
	<-h.working
	if got := answer(t, h.enter(t, ""), 3*time.Second); got != 0 {
		t.Errorf("a third one was answered %d, want none", got)
	}
	close(h.release)
	for _, conn := range []net.Conn{first, second} {
		if got := answer(t, conn, 3*time.Second); got != http.StatusNoContent {
			t.Errorf("a request at work was answered %d, want 204", got)
		}
		conn.Close()
	}
	eventually(t, 5*time.Second, "there is room again", func() bool { return answer(t, h.enter(t, whole), time.Second) == http.StatusNoContent })
}

// TestListenerSpeaksHTTP1Alone offers HTTP/2 in the two ways there are without TLS.
func TestListenerSpeaksHTTP1Alone(t *testing.T) {
	t.Parallel()
	h := openHall(t, 5)
	if got := answer(t, h.enter(t, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 3*time.Second); got != http.StatusHTTPVersionNotSupported {
		t.Errorf("HTTP/2's preface was answered %d, want 505", got)
	}
	upgrade := "POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 2\r\n\r\nok"
	if got := answer(t, h.enter(t, upgrade), 3*time.Second); got != http.StatusNoContent {
		t.Errorf("an upgrade was answered %d, want 204: it is ignored", got)
	}
	for framing, want := range map[string]int{ // where a message ends must not be for two parties to read in two ways
		"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok":                    http.StatusBadRequest,
		"Content-Length: +2\r\n\r\nok":                                        http.StatusBadRequest,
		"Transfer-Encoding: chunked, identity\r\n\r\n2\r\nok\r\n0\r\n\r\n":    http.StatusNotImplemented,
		"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":    http.StatusNoContent, // the length is ignored
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n": http.StatusNotImplemented,
	} {
		if got := answer(t, h.enter(t, "POST / HTTP/1.1\r\nHost: x\r\n"+framing), 3*time.Second); got != want {
			t.Errorf("%q was answered %d, want %d", framing, got, want)
		}
	}
	if got := answer(t, h.enter(t, "POST / HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 24<<10)+"\r\n\r\n"), 3*time.Second); got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("24 KiB of headers were answered %d, want 431", got)
	}
}

// TestServerLimits looks at how long a client may take, and with how much.
func TestServerLimits(t *testing.T) {
	t.Parallel()
	s := main.NewServer(slog.New(slog.DiscardHandler), http.NotFoundHandler())
	for what, got := range map[string][2]time.Duration{
		"headers": {s.ReadHeaderTimeout, 5 * time.Second}, "a request": {s.ReadTimeout, 10 * time.Second},
		"an answer": {s.WriteTimeout, 20 * time.Second}, "idling": {s.IdleTimeout, 60 * time.Second},
	} {
		if got[0] != got[1] {
			t.Errorf("time for %s: %s, want %s", what, got[0], got[1])
		}
	}
	if s.MaxHeaderBytes != 16<<10 {
		t.Errorf("room for headers: %d bytes, want 16 KiB", s.MaxHeaderBytes)
	}
	if p := s.Protocols; p == nil || !p.HTTP1() || p.HTTP2() || p.UnencryptedHTTP2() {
		t.Errorf("it speaks %v, want HTTP/1 alone", p)
	}
}

// TestPanicTellsNothing has a handler panic with somebody's name.
func TestPanicTellsNothing(t *testing.T) {
	t.Parallel()
	h := openHall(t, 5)
	if got := answer(t, h.enter(t, "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n"), 3*time.Second); got != http.StatusInternalServerError {
		t.Errorf("answered %d, want 500", got)
	}
	if log := h.log.String(); strings.Contains(log, "patient") || !strings.Contains(log, "panic=string") || !strings.Contains(log, "crowd_test.go") {
		t.Errorf("the log must tell where it was, and not with what:\n%s", log)
	}
}

// TestPartsLast has a part of the daemon panic with somebody's name, here and where it would take an error of its own for one.
func TestPartsLast(t *testing.T) {
	t.Parallel()
	log, runs := new(output), 0
	last := errors.New("for good")
	err := main.Lasting(slog.New(slog.NewTextHandler(log, nil)), time.Millisecond, func(ctx context.Context) error {
		switch runs++; runs {
		case 1:
			panic(canary)
		case 2:
			return fmt.Errorf("passing: %w", crash.Contain(func() error { panic(errors.New(canary)) }))
		}
		return last
	})(t.Context())
	if err != last || runs != 3 {
		t.Errorf("it ran %d times and ended with %v, want 3 and its own error", runs, err)
	}
	if text := log.String(); strings.Contains(text, canary) || strings.Count(text, "TestPartsLast") < 2 || !strings.Contains(text, "panic=*errors.errorString") {
		t.Errorf("the log must tell where it was, and not with what:\n%s", text)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := main.Lasting(slog.New(slog.DiscardHandler), time.Hour, func(context.Context) error { panic(canary) })(ended); err != nil {
		t.Errorf("%v at the end, want none", err)
	}
}
