package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"time"
)

// slowLine is what the role of the proxy is told.
type slowLine struct {
	To    string        // the address that connections are passed on to
	Delay time.Duration // of a round trip: half of it in each direction
}

// serveProxy is the role of a network between two places. It tells the address that it listens on.
func serveProxy(_ context.Context, in *json.Decoder, out *json.Encoder) error {
	var line slowLine
	if err := in.Decode(&line); err != nil {
		return err
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer socket.Close()
	go line.serve(socket)
	if err := out.Encode(socket.Addr().String()); err != nil {
		return err
	}
	untilInputEnds(in)
	return nil
}

// serve passes connections on until the socket is closed.
func (l slowLine) serve(socket net.Listener) {
	for {
		near, err := socket.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.To)
		if err != nil {
			near.Close()
			continue
		}
		go l.carry(near, far)
		go l.carry(far, near)
	}
}

// parcel is bytes on their way.
type parcel struct {
	bytes []byte
	due   time.Time
}

// carry passes on what one side sends, each part half a round trip later: what follows does not wait for what is on its way.
func (l slowLine) carry(from io.ReadCloser, to io.WriteCloser) {
	defer from.Close()
	way := make(chan parcel, 1024)
	go func() {
		defer to.Close()
		for p := range way {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.bytes); err != nil {
				break
			}
		}
		for range way { // the reader must not wait for room
		}
	}()
	defer close(way)
	for {
		buffer := make([]byte, 64<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			way <- parcel{buffer[:n], time.Now().Add(l.Delay / 2)}
		}
		if err != nil {
			return
		}
	}
}
