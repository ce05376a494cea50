package feed

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/clerksync/clerksync/internal/loopback"
	"github.com/clerksync/clerksync/internal/outward"
)

// HTTPConfig configures an HTTP receiver. URL and Secrets are required.
type HTTPConfig struct {
	// URL is where to post: https, or http on this machine. A user and a password in it are sent by basic authentication; they and
	// the rest of it are never logged.
	URL string

	// Secrets sign each message: "whsec_" and base64 of at least 24 bytes each. All of them sign, so that a receiver can be given a
	// new one before the old one goes.
	Secrets []string

	// Transport sends the requests. Nil means one of its own, with Go's defaults and pings of HTTP/2, or
	// http.DefaultTransport where that was replaced.
	Transport http.RoundTripper
}

// HTTPReceiver posts each message, signed as Standard Webhooks says. Its methods may be called by any number of goroutines at once.
type HTTPReceiver struct {
	url    string
	keys   atomic.Pointer[[]*svix.Webhook]
	client *http.Client
}

// Limits of one post. A receiver that needs longer should answer first and work later.
const (
	postTime   = 10 * time.Second
	answerSize = 64 << 10    // read of an answer, so that its connection can be used again
	answerTime = time.Second // for that: the status has told everything, and more changes wait
)

// NewHTTP returns a receiver that posts each message as a CloudEvent to a URL, with the headers webhook-id, webhook-timestamp and
// webhook-signature, which the libraries of Svix and of Standard Webhooks verify. Whatever the receiver answers within 10 seconds
// is a refusal, a redirect too, unless it is a status from 200 to 299. Retry-After is heeded up to 5 minutes.
func NewHTTP(cfg HTTPConfig) (*HTTPReceiver, error) {
	if err := CheckURL(cfg.URL); err != nil {
		return nil, fmt.Errorf("making an HTTP receiver: its URL %w", err)
	}
	r := &HTTPReceiver{url: cfg.URL}
	if err := r.SetSecrets(cfg.Secrets); err != nil {
		return nil, fmt.Errorf("making an HTTP receiver: %w", err)
	}
	if cfg.Transport == nil {
		cfg.Transport = outward.Transport()
	}
	r.client = &http.Client{
		Transport: cfg.Transport, Timeout: postTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return r, nil
}

// SetSecrets replaces the secrets, for messages that are posted from now on. After an error, which never quotes one, the old ones stay.
func (r *HTTPReceiver) SetSecrets(secrets []string) error {
	keys := make([]*svix.Webhook, len(secrets))
	for i, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) < 24 {
			return errors.New("a secret must be whsec_ and base64 of at least 24 bytes")
		}
		if keys[i], err = svix.NewWebhookRaw(key); err != nil {
			return errors.New("a secret cannot be used")
		}
	}
	if len(keys) == 0 {
		return errors.New("there is no secret to sign with")
	}
	r.keys.Store(&keys)
	return nil
}

// CheckURL tells whether messages may be posted to a URL. Its error ends a sentence that begins with what the URL is, and does not
// quote it.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must look like https://HOST/PATH")
	case u.Scheme == "http" && !loopback.Is(u.Hostname()):
		return errors.New("must start with https:// where it is not on this machine")
	}
	return nil
}

// Send implements [Receiver].
func (r *HTTPReceiver) Send(ctx context.Context, messages ...Message) error {
	for _, m := range messages {
		if err := r.post(ctx, m); err != nil {
			// The name may lead elsewhere by now, and tries never are so far apart that an idle connection would end by itself.
			r.client.CloseIdleConnections()
			return err
		}
	}
	return nil
}

// Serial implements [Serial].
func (r *HTTPReceiver) Serial() {}

func (r *HTTPReceiver) post(ctx context.Context, m Message) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(m.Event))
	if err != nil {
		return errors.New("the request cannot be made") // the error quotes the URL
	}
	now, keys := time.Now(), *r.keys.Load()
	signatures := make([]string, len(keys))
	for i, key := range keys {
		if signatures[i], err = key.Sign(m.ID, now, m.Event); err != nil {
			return fmt.Errorf("signing: %w", err)
		}
	}
	req.Header.Set("Content-Type", "application/cloudevents+json")
	req.Header.Set("User-Agent", "clerksync")
	req.Header.Set("Webhook-Id", m.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", strings.Join(signatures, " "))
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("posting: %w", discreet(err))
	}
	defer resp.Body.Close()
	defer time.AfterFunc(answerTime, cancel).Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, answerSize)
	return judge(resp)
}

// discreet returns a client's error without the URL, and without what it quotes of an answer.
func discreet(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if quotes(err.Error()) {
		return errors.New("it does not speak HTTP")
	}
	return err
}

// quotes reports whether a transport's error has words of an answer, which may be those that were sent.
func quotes(text string) bool {
	return strings.Contains(text, "malformed HTTP") || strings.Contains(text, "transport connection broken") && strings.Contains(text, `"`)
}

// judge returns why an answer is a refusal, or nil.
func judge(resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return nil
	}
	refusal := fmt.Errorf("it answers %d", resp.StatusCode)
	if pause := asked(resp.Header.Get("Retry-After")); pause > 0 {
		return errors.Join(refusal, &backoff.RetryAfterError{Duration: pause})
	}
	return refusal
}

// asked returns how long a Retry-After asks to wait, which has seconds or a date.
func asked(text string) time.Duration {
	if pause, ok := outward.RetryAfter(text, math.MaxInt32*time.Second); ok {
		return pause
	}
	if at, err := http.ParseTime(text); err == nil {
		return time.Until(at)
	}
	return 0
}

// Close closes the connections that nothing uses now.
func (r *HTTPReceiver) Close() error {
	r.client.CloseIdleConnections()
	return nil
}
