package clerktest

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is a Clerk that listens.
type Server struct {
	*Clerk
	url  string
	http *http.Server
	end  context.CancelFunc // ends the server's context, which else its parent would keep
	once sync.Once
	done chan struct{} // closed when the listener is
}

// TB is the part of testing.TB that NewServer needs, so that programs which
// embed the emulator do not link package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// NewServer starts a server that is closed at the end of the test.
func NewServer(t TB, config Config) *Server {
	t.Helper()
	s, err := Start(context.Background(), config)
	if err != nil {
		t.Fatalf("starting the emulator: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start starts a server. It is closed by Close or at the end of the context.
func Start(ctx context.Context, config Config) (*Server, error) {
	c, err := New(config)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cmp.Or(config.Listen, "127.0.0.1:0"))
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("listening: %w", err)
	}
	s := &Server{Clerk: c, url: "http://" + listener.Addr().String(), done: make(chan struct{})}
	s.http = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(listener) // ends with Close
	}()
	ctx, s.end = context.WithCancel(ctx)
	context.AfterFunc(ctx, s.Close)
	return s, nil
}

// URL returns the address of the Backend API without "/v1", as CLERK_API_URL
// names it.
func (s *Server) URL() string { return s.url }

// APIURL returns URL with "/v1", as clerk.BackendConfig of clerk-sdk-go wants
// it.
func (s *Server) APIURL() string { return s.url + "/v1" }

// Close stops the server and its webhook sender and waits for both.
func (s *Server) Close() {
	s.once.Do(func() {
		s.end()
		_ = s.http.Close() // nobody is left to be told
		<-s.done
		s.Clerk.Close()
	})
}
