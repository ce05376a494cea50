package main

import (
	"container/list"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
)

// crowd is a listener with room for so many connections. When one more comes, the one that has kept the server waiting longest for
// a whole request has to leave: so those who hold connections open to keep others out put out each other. A connection whose
// request has come is never put out for another; if there are only such, the newcomer is turned away.
type crowd struct {
	net.Listener
	room int

	mu      sync.Mutex
	inside  int
	waiting list.List // of *guest: those whose request has not come yet, longest first
	left    func()    // called once a connection had to leave or was turned away
}

// Accept implements [net.Listener].
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g := c.admit(conn); g != nil {
			return g, nil
		}
		conn.Close()
	}
}

// admit returns nil where there is no room and nobody to put out.
func (c *crowd) admit(conn net.Conn) *guest {
	c.mu.Lock()
	var out *guest
	if c.inside >= c.room {
		c.left()
		if c.waiting.Len() == 0 {
			c.mu.Unlock()
			return nil
		}
		out = c.waiting.Front().Value.(*guest)
	}
	g := &guest{Conn: conn, crowd: c}
	c.inside++
	g.place = c.waiting.PushBack(g)
	c.mu.Unlock()
	if out != nil {
		out.Close()
	}
	return g
}

// guest is a connection of a crowd.
type guest struct {
	net.Conn
	crowd *crowd
	place *list.Element // among those who wait; nil while a request is worked on, and after the end
	gone  bool
}

// Close implements [net.Conn].
func (g *guest) Close() error {
	g.crowd.mu.Lock()
	if !g.gone {
		g.gone = true
		g.crowd.inside--
		g.leaveQueue()
	}
	g.crowd.mu.Unlock()
	return g.Conn.Close()
}

func (g *guest) leaveQueue() {
	if g.place != nil {
		g.crowd.waiting.Remove(g.place)
		g.place = nil
	}
}

// arrived notes that a whole request has come.
func (g *guest) arrived() {
	g.crowd.mu.Lock()
	defer g.crowd.mu.Unlock()
	g.leaveQueue()
}

// answered puts a guest, who may ask more, behind all others who wait.
func (g *guest) answered() {
	g.crowd.mu.Lock()
	defer g.crowd.mu.Unlock()
	g.leaveQueue()
	if !g.gone {
		g.place = g.crowd.waiting.PushBack(g)
	}
}

type guestKey struct{}

// introduce is the server's ConnContext: it tells the handler whose request it gets.
func introduce(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = t.NetConn()
	}
	return context.WithValue(ctx, guestKey{}, conn)
}

// minding tells the crowd when a request has come as a whole, and when it is answered.
func minding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, ok := r.Context().Value(guestKey{}).(*guest)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		defer g.answered()
		if r.Body == http.NoBody { // of which nobody need read the end
			g.arrived()
		}
		r.Body = &minded{r.Body, g}
		next.ServeHTTP(w, r)
	})
}

// minded is a body whose end is told.
type minded struct {
	io.ReadCloser
	guest *guest
}

// Read implements [io.Reader].
func (m *minded) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if err == io.EOF {
		m.guest.arrived()
	}
	return n, err
}
