package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
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

// door is how a server is entered.
type door struct {
	setting string // which names the address
	address string
	room    int         // connections at once
	tls     *tls.Config // nil = plain HTTP
	left    func()      // called for every connection that had to leave for want of room
	log     *slog.Logger
}

// The rooms of the two listeners. One connection costs about 30 KiB, and a body of the usual size that does not come 64 more.
const (
	publicRoom = 2048
	adminRoom  = 256
)

// listen starts a server. Its limits keep a slow or chatty client from holding what others need; a whole delivery takes Clerk's
// sender 15 seconds at most. It speaks HTTP/1.1 alone: a delivery is one small request, for which HTTP/2 is but a larger door.
func listen(ctx context.Context, d door, handler http.Handler) (*listener, error) {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.address)
	if err != nil {
		return nil, fmt.Errorf("listening as %s says: %w", d.setting, err)
	}
	l := &listener{addr: socket.Addr(), ended: make(chan error, 1), server: &http.Server{
		Handler:           surviving(d.log, minding(handler)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		Protocols:         new(http.Protocols),
		ConnContext:       introduce,
		ErrorLog:          log.New(complaints{d.log}, "", 0),
	}}
	l.server.Protocols.SetHTTP1(true)
	socket = newCrowd(socket, d.room, d.left)
	if d.tls != nil {
		socket = tls.NewListener(socket, d.tls)
	}
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
