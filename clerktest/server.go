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
	url         string
	http        *http.Server
	end         context.CancelFunc // cancels the requests' context, which that of Start keeps until then
	once        sync.Once
	done        chan struct{} // closed when the listener is
	connections sync.WaitGroup
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
	ctx, s.end = context.WithCancel(ctx)
	s.http = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second, ConnState: s.note,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(listener) // ends with Close
	}()
	context.AfterFunc(ctx, s.Close)
	return s, nil
}

// URL returns the address of the Backend API without "/v1", as CLERK_API_URL
// names it.
func (s *Server) URL() string { return s.url }

// APIURL returns URL with "/v1", as clerk.BackendConfig of clerk-sdk-go wants
// it.
func (s *Server) APIURL() string { return s.url + "/v1" }

// note counts the connections, each of which ends after its last request.
func (s *Server) note(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
	case http.StateClosed:
		s.connections.Done()
	}
}

// Close stops the server and its webhook sender and waits for both. It cancels
// the contexts of the requests under way, which Config.OnRequest has to mind if
// it blocks; OnRequest itself must not call Close.
func (s *Server) Close() {
	s.once.Do(func() {
		s.end()
		_ = s.http.Close() // nobody is left to be told
		<-s.done
		_ = s.http.Close() // of what was accepted meanwhile
		s.Clerk.Close()
		s.connections.Wait()
	})
}
