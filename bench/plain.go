package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	svix "github.com/svix/svix-webhooks/go"
)

// plain is what the role of the baselines is told: to answer deliveries as far as one of these steps.
type plain struct {
	Step     string // read, verify or store
	Database string // of store: as DATABASE_URL names it
	Prepared bool   // of store
}

// servePlain is that role. It tells the URL that it listens on.
func servePlain(ctx context.Context, in *json.Decoder, out *json.Encoder) error {
	var p plain
	if err := in.Decode(&p); err != nil {
		return err
	}
	handler, err := p.handler(ctx)
	if err != nil {
		return err
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(socket) }() // it ends by Close
	defer server.Close()
	if err := out.Encode("http://" + socket.Addr().String()); err != nil {
		return err
	}
	untilInputEnds(in)
	return nil
}

// handler is what most teams write: read, verify, store, 204.
func (p plain) handler(ctx context.Context) (http.HandlerFunc, error) {
	verifier, err := svix.NewWebhook(signingSecret)
	if err != nil {
		return nil, err
	}
	store := func(context.Context, string, []byte) error { return nil }
	if p.Step == "store" {
		if store, err = p.store(ctx); err != nil {
			return nil, err
		}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "the body did not come", http.StatusBadRequest)
			return
		}
		if p.Step != "read" && verifier.Verify(body, r.Header) != nil {
			http.Error(w, "the signature is wrong", http.StatusUnauthorized)
			return
		}
		if err := store(r.Context(), r.Header.Get("Svix-Id"), body); err != nil {
			fmt.Fprintln(os.Stderr, err)
			http.Error(w, "try again later", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}, nil
}
