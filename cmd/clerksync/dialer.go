package main

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// linePatience is how long the daemon waits for the next byte of PostgreSQL's answer. The driver waits for ever, also when the context is
// over: it asks the server to cancel, and reads on. A server whose machine is gone says nothing at all, and the kernel believes in it
// for a quarter of an hour; one that is stopped, or a proxy that hangs, is believed in for ever. No statement of the daemon's takes
// so long.
const linePatience = time.Minute

// dialer connects to PostgreSQL over lines with patience.
type dialer struct {
	net.Dialer
	patience time.Duration
}

// DialContext implements pq.DialerContext.
func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &line{Conn: conn, patience: d.patience}, nil
}

// Dial implements pq.Dialer.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout implements pq.Dialer.
func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// line is a connection of which no read takes longer than its patience. The driver reads only while it waits for an answer, so one that
// idles is left alone.
type line struct {
	net.Conn
	patience time.Duration
	bound    atomic.Bool // by a deadline of the driver's, as while it connects
}

// SetDeadline implements net.Conn.
func (l *line) SetDeadline(t time.Time) error {
	l.bound.Store(!t.IsZero())
	return l.Conn.SetDeadline(t)
}

// Read implements net.Conn.
func (l *line) Read(b []byte) (int, error) {
	if !l.bound.Load() {
		if err := l.SetReadDeadline(time.Now().Add(l.patience)); err != nil {
			return 0, err
		}
	}
	return l.Conn.Read(b)
}
