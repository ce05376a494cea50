package sync

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/clerksync/clerksync/internal/outward"
)

// transport sends a call's request, again if that may help, and keeps the answer in the call. It sits below the SDK, which has
// neither retries nor a notion of Retry-After.
type transport struct {
	api  *API
	base http.RoundTripper
}

var errTryAgain = errors.New("worth another try")

// RoundTrip implements http.RoundTripper. The SDK gets an empty body where the answer is good: the call has it.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	c, ok := req.Context().Value(callKey{}).(*call)
	if !ok {
		return nil, errors.New("a request that is not a call")
	}
	pause := &backoff.ExponentialBackOff{InitialInterval: 200 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: 20 * time.Second}
	_, err := backoff.Retry(req.Context(), func() (struct{}, error) { return struct{}{}, t.try(req, c) },
		backoff.WithBackOff(pause), backoff.WithMaxTries(c.patience.tries), backoff.WithMaxElapsedTime(0))
	if c.status == 0 {
		return nil, err
	}
	resp := &http.Response{
		Status: strconv.Itoa(c.status) + " " + http.StatusText(c.status), StatusCode: c.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: c.header, Body: http.NoBody, Request: req,
	}
	return resp, nil
}

// try makes one try. Its error says whether, and when, another one is worth it.
func (t *transport) try(req *http.Request, c *call) error {
	if err := t.api.admit(req.Context(), c.patience); err != nil {
		return backoff.Permanent(err)
	}
	c.tries++
	c.status = 0
	ctx, cancel := context.WithTimeout(req.Context(), c.patience.perTry)
	defer cancel()
	started := time.Now()
	resp, err := t.base.RoundTrip(req.Clone(ctx))
	if err != nil {
		t.api.observe(c.endpoint, 0)
		return err
	}
	defer resp.Body.Close()
	body := t.api.buffer()
	if resp.ContentLength > 0 && resp.ContentLength < maxAnswer {
		body.Grow(int(resp.ContentLength) + bytes.MinRead)
	}
	n, err := body.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && n > maxAnswer {
		err = errors.New("the answer is too large")
	}
	if err != nil {
		t.api.observe(c.endpoint, 0)
		return err
	}
	t.api.observe(c.endpoint, resp.StatusCode)
	c.started, c.status, c.header, c.body, c.memory = started, resp.StatusCode, resp.Header, body.Bytes(), body
	return t.judge(resp, c)
}

// maxSpare is how many buffers of pages are kept for pages to come. A pass has one more in flight, and is never without one in use.
const maxSpare = 4

// buffer returns an empty buffer, if possible one that [Reader.Release] got back.
func (a *API) buffer() *bytes.Buffer {
	select {
	case b := <-a.spare:
		b.Reset()
		return b
	default:
		return new(bytes.Buffer)
	}
}

// maxAnswer bounds an answer: 500 users of the size that Clerk allows their metadata take about 20 MiB.
const maxAnswer = 64 << 20

func (t *transport) judge(resp *http.Response, c *call) error {
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		wait := retryAfter(resp.Header)
		t.api.paused.Store(time.Now().Add(wait).UnixMilli())
		if !c.patience.pass {
			return backoff.Permanent(errTryAgain)
		}
		return backoff.RetryAfter(int(wait.Seconds()))
	case resp.StatusCode >= 500:
		return errTryAgain
	}
	return nil
}

// retryAfter reads the header of that name, which Clerk gives in seconds. An answer without one means a second, one with an
// absurd one a minute.
func retryAfter(h http.Header) time.Duration {
	pause, _ := outward.RetryAfter(h.Get("Retry-After"), time.Minute)
	return max(pause, time.Second)
}

// admit waits until the rate limit allows another request.
func (a *API) admit(ctx context.Context, p patience) error {
	if p.pass {
		if err := a.share.Wait(ctx); err != nil {
			return err
		}
		if wait := time.Until(time.UnixMilli(a.paused.Load())); wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return err
			}
		}
	}
	return a.limit.Wait(ctx)
}
