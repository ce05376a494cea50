package main_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// brink is a proxy before PostgreSQL that can strike between a commit and its answer.
type brink struct {
	url    string // of the database, by way of the proxy
	to     string
	strike atomic.Pointer[func()]
	lines  sync.WaitGroup
}

func newBrink(t *testing.T, database string) *brink {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &brink{to: u.Host}
	u.Host = socket.Addr().String()
	b.url = u.String()
	b.lines.Go(func() {
		for {
			near, err := socket.Accept()
			if err != nil {
				return
			}
			b.lines.Go(func() { b.connect(near) })
		}
	})
	t.Cleanup(func() {
		socket.Close()
		b.lines.Wait()
	})
	return b
}

func (b *brink) connect(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", b.to)
	if err != nil {
		return
	}
	b.lines.Go(func() {
		defer far.Close()
		_, _ = io.Copy(far, near) // ends with the connection
	})
	defer far.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := far.Read(buffer)
		if err != nil {
			return
		}
		if strike := b.strike.Load(); strike != nil && committed(buffer[:n]) && b.strike.CompareAndSwap(strike, nil) {
			(*strike)()
			return // and nobody hears of the commit
		}
		if _, err := near.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// committed reports whether PostgreSQL tells that a transaction is committed: one that was begun, or a statement of its own that found or
// wrote users.
func committed(answer []byte) bool {
	return bytes.Contains(answer, []byte("C\x00\x00\x00\x0bCOMMIT\x00")) ||
		bytes.Contains(answer, []byte("user_")) && bytes.HasSuffix(answer, []byte("Z\x00\x00\x00\x05I"))
}
