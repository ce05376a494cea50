package sync

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/clerk/clerk-sdk-go/v2"
)

// Instance returns the Clerk instance that the key belongs to, which is also the one the mirror is pinned to or, for a dry reader, could
// be pinned to.
func (r *Reader) Instance(ctx context.Context) (string, error) {
	r.api.mu.Lock()
	id := r.api.instance
	r.api.mu.Unlock()
	if id == "" {
		asked, err := r.shareInstance(ctx)
		if err != nil {
			return "", err
		}
		id = asked
	}
	tie := r.mirror.Pin
	if r.dry {
		tie = r.mirror.CheckInstance
	}
	if err := tie(ctx, id); err != nil {
		return "", err
	}
	r.api.mu.Lock()
	defer r.api.mu.Unlock()
	r.api.instance = id
	return id, nil
}

// shareInstance lets many first reads at once share one question. Where the one that asked it went away, another one asks.
func (r *Reader) shareInstance(ctx context.Context) (string, error) {
	for {
		id, err, shared := r.api.asking.Do("", func() (any, error) { return r.AskInstance(ctx) })
		if err == nil {
			return id.(string), nil
		}
		if !shared || ctx.Err() != nil || !errors.Is(err, context.Canceled) {
			return "", err
		}
	}
}

// AskInstance asks Clerk which instance the key belongs to. Unlike Instance it pins nothing and compares nothing.
func (r *Reader) AskInstance(ctx context.Context) (string, error) {
	return r.askInstanceOf(ctx, *r.api.backend.Load())
}

func (r *Reader) askInstanceOf(ctx context.Context, b clerk.Backend) (string, error) {
	c, err := r.getFrom(ctx, b, "/instance", "/instance", nil)
	if err != nil {
		return "", err
	}
	if c.status != http.StatusOK {
		return "", c.failure()
	}
	id := memberText(c.body, "id")
	if id == "" {
		return "", fmt.Errorf("asking Clerk for /instance: the answer has no id: %w", ErrUnavailable)
	}
	return id, nil
}

// Rekey makes all readers of the API use another secret key. It asks Clerk with that key first: one of another instance is refused
// with [ErrWrongInstance], and no reader ever reads with it. After any error the old key stays in use.
func (r *Reader) Rekey(ctx context.Context, secretKey string) error {
	if err := checkKey(secretKey); err != nil {
		return err
	}
	b := r.api.dial(secretKey)
	id, err := r.askInstanceOf(ctx, *b)
	if err != nil {
		return err
	}
	if err := r.mirror.Pin(ctx, id); err != nil {
		return err
	}
	r.api.backend.Store(b)
	return nil
}
