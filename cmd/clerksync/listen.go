package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// listener is one of the daemon's two HTTP servers.
type listener struct {
	server *http.Server
	addr   net.Addr
	ended  chan error
	once   sync.Once
	err    error // of the stop
}

// listen starts a server. Its limits keep a slow or chatty client from holding what others need; a whole delivery takes Clerk's
// sender 15 seconds at most.
func listen(ctx context.Context, setting, address string, handler http.Handler) (*listener, error) {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening as %s says: %w", setting, err)
	}
	l := &listener{addr: socket.Addr(), ended: make(chan error, 1), server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}}
	go func() { l.ended <- l.server.Serve(socket) }()
	return l, nil
}

// stop takes no more requests, waits for those in flight, and cuts off what has not ended in time. Only the first call does so;
// all return its error.
func (l *listener) stop(within time.Duration) error {
	l.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := l.server.Shutdown(ctx); err != nil {
			l.server.Close()
			l.err = fmt.Errorf("stopping the listener on %s: %w", l.addr, err)
		}
		if ended := <-l.ended; !errors.Is(ended, http.ErrServerClosed) {
			l.err = errors.Join(l.err, ended)
		}
	})
	return l.err
}

// listensOnLoopback reports whether an address to listen on can be reached from this machine alone.
func listensOnLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && onLoopback(host)
}
