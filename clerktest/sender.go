package clerktest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// Svix's schedule: the pauses before the second to the eighth attempt. An
// attempt succeeds with a 2xx within attemptTimeout; a redirect fails.
var retryPauses = []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 10 * time.Hour}

const (
	attemptTimeout = 15 * time.Second
	// patience is how long a reordered message waits for a later one to
	// overtake it.
	patience = 200 * time.Millisecond
	// maxMessages bounds the message log; the oldest delivered ones go first.
	maxMessages = 20_000
)

// Endpoint is a receiver of events.
type Endpoint struct {
	// URL receives the events.
	URL string
	// Secret signs them; "" is the instance's secret. During a rotation a second
	// endpoint with the same URL has the new one.
	Secret string
}

type endpoint struct {
	url    string
	signer signer
}

// message is an event and what became of it. The sender's mutex guards it.
type message struct {
	Message
	serial  int   // place in the order of sending
	open    int   // deliveries not yet finished
	failure error // why the last attempt got no answer
}

func newMessage(id, eventType, objectID string, at time.Time, body []byte) *message {
	return &message{Message: Message{ID: id, Type: eventType, ObjectID: objectID, At: at, Status: "pending", Body: body}}
}

// delivery brings one message to one endpoint.
type delivery struct {
	message *message
	to      endpoint
	attempt int
}

// sender posts events as Svix does.
type sender struct {
	faults  func() Faults
	client  *http.Client
	scale   float64
	workers int
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex
	signer    signer
	endpoints []endpoint
	dice      dice
	messages  []*message // the log, oldest first
	full      int        // length at which the log is trimmed
	queue     []*delivery
	late      []*delivery // reordered, waiting to be overtaken
	timers    map[*time.Timer]struct{}
	busy      int // workers
	held      bool
	closed    bool
	counts    Counts
	idle      chan struct{} // closed when nothing is open, nil if nobody waits
}

func newSender(config Config, faults func() Faults) (*sender, error) {
	signer, err := newSigner(config.WebhookSecret)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: config.Concurrency}}
	if config.HTTPClient != nil {
		*client = *config.HTTPClient
	}
	client.Timeout = attemptTimeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s := &sender{faults: faults, client: client, scale: config.RetryScale, workers: config.Concurrency,
		signer: signer, full: 2 * maxMessages, dice: newDice(config.Seed, 2), timers: map[*time.Timer]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if config.WebhookURL != "" {
		s.endpoints = []endpoint{{config.WebhookURL, signer}}
	}
	return s, nil
}

func (s *sender) close() {
	s.mu.Lock()
	s.closed = true
	for timer := range s.timers {
		timer.Stop()
	}
	s.wake()
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
	s.client.CloseIdleConnections()
}

func (s *sender) enabled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.endpoints) > 0
}

// work delivers until the queue is empty or held.
func (s *sender) work() {
	defer s.running.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 && !s.held && !s.closed {
		d := s.queue[0]
		s.queue[0], s.queue = nil, s.queue[1:]
		s.mu.Unlock()
		code, abort, err := s.post(d)
		s.mu.Lock()
		d.message.failure = err
		s.finish(d, code, abort)
		s.release(func(late *message) bool { return late.serial < d.message.serial })
	}
	s.busy--
	s.wake()
}

// post makes one attempt. The error tells why no answer came.
func (s *sender) post(d *delivery) (code int, abort bool, err error) {
	body := d.message.Body
	request, err := http.NewRequestWithContext(s.ctx, http.MethodPost, d.to.url, bytes.NewReader(body))
	if err != nil {
		return 0, false, err
	}
	// Svix, which signs, is not the instance: that one's clock may be advanced.
	request.Header = d.to.signer.headers(d.message.ID, time.Now().Add(s.faults().Skew), body)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Svix-Webhooks/1.99.1 (clerktest)")
	answer, err := s.client.Do(request)
	if err != nil {
		return 0, false, err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection can be used again
	return answer.StatusCode, answer.Header.Get("webhook-delivery") == "abort-message", nil
}

// finish records an attempt and plans the next one. The caller holds mu.
func (s *sender) finish(d *delivery, code int, abort bool) {
	m := d.message
	s.counts.Attempts++
	m.Attempts++
	m.Code = code
	switch {
	case code >= 200 && code < 300:
		s.done(m, "delivered")
	case abort || d.attempt >= len(retryPauses):
		s.done(m, "failed")
	default:
		pause := time.Duration(float64(retryPauses[d.attempt]) * s.scale)
		d.attempt++
		s.after(pause, func() { s.queue = append(s.queue, d) })
	}
}

// done closes one delivery of a message. One failure makes the message failed,
// whatever its other deliveries say.
func (s *sender) done(m *message, status string) {
	m.open--
	if m.Status == "failed" || status == "failed" {
		m.Status = "failed"
	} else if m.open == 0 {
		m.Status = "delivered"
	}
}

// after does something later under mu, then puts the workers to work. The
// caller holds mu.
func (s *sender) after(pause time.Duration, do func()) {
	if s.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(pause, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.timers, timer)
		do()
		s.start()
		s.wake()
	})
	s.timers[timer] = struct{}{}
}

// start brings the workers up to the length of the queue. The caller holds mu.
func (s *sender) start() {
	for waiting := len(s.queue); waiting > 0 && s.busy < s.workers && !s.held && !s.closed; waiting-- {
		s.busy++
		s.running.Add(1)
		go s.work()
	}
}
