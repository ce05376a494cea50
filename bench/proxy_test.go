package main

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// TestSlowLine carries bytes there and back, whole, in order and late.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	echo, line := listenLocally(t), listenLocally(t)
	go func() {
		c, err := echo.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c) // it ends with the connection
	}()
	const delay = 20 * time.Millisecond
	go slowLine{To: echo.Addr().String(), Delay: delay}.serve(line)
	c, err := net.Dial("tcp", line.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, size := range []int{1, 1 << 20, 1} {
		sent := bytes.Repeat([]byte("0123456789"), size)
		got := make([]byte, len(sent))
		begun := time.Now()
		go func() { _, _ = c.Write(sent) }() // what is missing shows
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < delay {
			t.Errorf("a round trip took %s", took)
		}
		if !bytes.Equal(sent, got) {
			t.Errorf("%d bytes came back changed", len(sent))
		}
	}
}

func listenLocally(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
