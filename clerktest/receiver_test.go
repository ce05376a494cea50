package clerktest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	svix "github.com/svix/svix-webhooks/go"

	"github.com/clerksync/clerksync/clerktest"
)

// receiver verifies what arrives, as an application does, and keeps it.
type receiver struct {
	t        *testing.T
	hook     *svix.Webhook
	answer   func(w http.ResponseWriter, attempt int) // nil answers 204
	mu       sync.Mutex
	arrivals []arrival
	attempts map[string]int // by message id
}

type arrival struct {
	id       string
	signed   string // svix-timestamp
	at       time.Time
	body     []byte
	envelope envelope
}

type envelope struct {
	Data            map[string]any
	Object          string
	Type            string
	Timestamp       int64
	InstanceID      string         `json:"instance_id"`
	EventAttributes map[string]any `json:"event_attributes"`
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		r.t.Errorf("reading a delivery: %v", err)
	}
	if err := r.hook.Verify(body, request.Header); err != nil {
		r.t.Errorf("a delivery does not verify: %v", err)
	}
	a := arrival{id: request.Header.Get("svix-id"), signed: request.Header.Get("svix-timestamp"), at: time.Now(), body: body}
	_ = json.Unmarshal(body, &a.envelope) // some tests send what is not JSON
	r.mu.Lock()
	r.arrivals = append(r.arrivals, a)
	r.attempts[a.id]++
	attempt := r.attempts[a.id]
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, attempt)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) all() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]arrival(nil), r.arrivals...)
}

// byType returns the data of the arrivals of one type.
func (r *receiver) byType(eventType string) (out []envelope) {
	for _, a := range r.all() {
		if a.envelope.Type == eventType {
			out = append(out, a.envelope)
		}
	}
	return out
}

func newReceiver(t *testing.T, c *clerktest.Clerk) *receiver {
	t.Helper()
	hook, err := svix.NewWebhook(c.WebhookSecret())
	if err != nil {
		t.Fatal(err)
	}
	return &receiver{t: t, hook: hook, attempts: map[string]int{}}
}

// receive points an instance at a receiver on the loopback interface.
func receive(t *testing.T, c *clerktest.Clerk) *receiver {
	t.Helper()
	r := newReceiver(t, c)
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	c.SetWebhookURL(server.URL)
	return r
}

func wait(t *testing.T, c *clerktest.Clerk) clerktest.Counts {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	counts, err := c.Wait(ctx)
	if err != nil {
		t.Fatalf("waiting for %+v: %v", counts, err)
	}
	return counts
}
