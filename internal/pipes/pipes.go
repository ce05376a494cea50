// Package pipes is a network for tests within a bubble of testing/synctest, where a socket would keep the time from moving.
package pipes

import (
	"context"
	"net"
	"sync"
)

// Listener is a listener that is called by [Listener.Dial] alone.
type Listener struct {
	address string
	calls   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// Listen returns a listener that goes by an address. It belongs to the bubble in which it is made.
func Listen(address string) *Listener {
	return &Listener{address: address, calls: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial makes a connection to the listener. The error is the context's, or net.ErrClosed where nobody listens any more.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.calls <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.calls:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It may be called more than once.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return address(l.address) }

type address string

func (a address) Network() string { return "pipe" }
func (a address) String() string  { return string(a) }
