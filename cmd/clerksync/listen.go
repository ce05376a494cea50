package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/clerksync/clerksync/internal/crash"
	"github.com/clerksync/clerksync/internal/loopback"
)

// listener is one of the daemon's two HTTP servers.
type listener struct {
	server *http.Server
	addr   net.Addr
	ended  chan struct{} // closed when it serves no more
	served error         // why; meaningful once ended is closed
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
	net     network
}

// The rooms of the two listeners. One connection costs about 30 KiB, and a body of the usual size that does not come 64 more.
const (
	publicRoom = 2048
	adminRoom  = 256
)

// roomAmong returns how much of a room there is where the process may open so many files. Both rooms together are 9 of 16 at most: a crowd
// that took all would leave none for the database, nor for the newcomer who puts somebody out.
func roomAmong(files uint64, room int) int {
	const most = publicRoom * 2
	if files == 0 || files >= most {
		return room
	}
	return max(room*int(files)/most, 1)
}

// newServer returns a server. Its limits keep a slow or chatty client from holding what others need; a whole delivery takes Clerk's
// sender 15 seconds at most. It speaks HTTP/1.1 alone: a delivery is one small request, for which HTTP/2 is but a larger door.
func newServer(log *slog.Logger, handler http.Handler) *http.Server {
	s := &http.Server{
		Handler:           surviving(log, plainly(minding(handler))),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		Protocols:         new(http.Protocols),
		ConnContext:       introduce,
		ErrorLog:          stdlog.New(complaints{log}, "", 0),
	}
	s.Protocols.SetHTTP1(true)
	return s
}

// plainly refuses what is not HTTP/1: Go hands the preface of HTTP/2 to the handler as if it were a request.
func plainly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			w.Header().Set("Connection", "close")
			http.Error(w, "this server speaks HTTP/1.1", http.StatusHTTPVersionNotSupported)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// listen starts a server.
func listen(ctx context.Context, d door, handler http.Handler) (*listener, error) {
	open := d.net.listen
	if open == nil {
		open = (&net.ListenConfig{}).Listen
	}
	socket, err := open(ctx, "tcp", d.address)
	if err != nil {
		return nil, fmt.Errorf("listening as %s says: %w", d.setting, err)
	}
	l := &listener{addr: socket.Addr(), ended: make(chan struct{}), server: newServer(d.log, handler)}
	socket = &crowd{Listener: socket, room: d.room, left: d.left}
	if d.tls != nil {
		socket = tls.NewListener(socket, d.tls)
	}
	go func() {
		defer close(l.ended)
		l.served = crash.Contain(func() error { return l.server.Serve(socket) })
	}()
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
		if <-l.ended; !errors.Is(l.served, http.ErrServerClosed) {
			l.err = errors.Join(l.err, l.served)
		}
	})
	return l.err
}

// listensOnLoopback reports whether an address to listen on can be reached from this machine alone.
func listensOnLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopback.Is(host)
}
