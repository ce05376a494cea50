package clerktest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Counts sum up the messages since the start.
type Counts struct {
	// Sent is how many messages were given to the sender: the sum of the next
	// four.
	Sent int `json:"sent"`
	// Delivered, Failed, Dropped and Pending are their present states.
	Delivered int `json:"delivered"`
	Failed    int `json:"failed"`
	Dropped   int `json:"dropped"`
	Pending   int `json:"pending"`
	// Attempts is how many posts were made.
	Attempts int `json:"attempts"`
}

// SetWebhookURL sends the events to one URL from now on, signed with the
// instance's secret; "" sends none. Messages under way keep their receiver.
func (c *Clerk) SetWebhookURL(url string) {
	if url == "" {
		c.sender.setEndpoints(nil)
		return
	}
	c.sender.setEndpoints([]endpoint{{url, c.signer}})
}

// SetEndpoints sends the events to these receivers from now on. Without any,
// writes emit no events at all. The error is a URL or a secret that cannot be
// used, and then the receivers stay as they were.
func (c *Clerk) SetEndpoints(endpoints ...Endpoint) error {
	var list []endpoint
	for _, e := range endpoints {
		if err := checkURL(e.URL); err != nil {
			return err
		}
		signer := c.signer
		if e.Secret != "" {
			var err error
			if signer, err = newSigner(e.Secret); err != nil {
				return err
			}
		}
		list = append(list, endpoint{e.URL, signer})
	}
	c.sender.setEndpoints(list)
	return nil
}

func (s *sender) setEndpoints(list []endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = list
}

// checkURL finds the usual mistakes, for which every event would be in vain.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("clerktest: a webhook URL looks like http://127.0.0.1:3000/api/webhooks/clerk, not like %q", text)
	}
	return nil
}

// Endpoints returns the present receivers, with the secrets left out.
func (c *Clerk) Endpoints() []Endpoint {
	c.sender.mu.Lock()
	defer c.sender.mu.Unlock()
	var out []Endpoint
	for _, e := range c.sender.endpoints {
		out = append(out, Endpoint{URL: e.url})
	}
	return out
}

// Hold keeps back all deliveries until Release.
func (c *Clerk) Hold() {
	c.sender.mu.Lock()
	defer c.sender.mu.Unlock()
	c.sender.held = true
}

// Release ends Hold.
func (c *Clerk) Release() {
	c.sender.mu.Lock()
	defer c.sender.mu.Unlock()
	c.sender.held = false
	c.sender.start()
}

// Wait returns once every message is delivered, failed or dropped and no retry
// is due, or when the context ends: then its error is that of the context, and
// says what the oldest message waits for. It is an error, too, if Close has left
// messages undelivered. Without a small RetryScale a message
// that is refused keeps Wait waiting for a day.
func (c *Clerk) Wait(ctx context.Context) (Counts, error) {
	for {
		c.sender.mu.Lock()
		counts, idle := c.sender.count(), c.sender.waitIdle()
		c.sender.mu.Unlock()
		if idle == nil && counts.Pending > 0 {
			return counts, c.sender.waitingFor(errors.New("the instance is closed"))
		}
		if idle == nil {
			return counts, nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return counts, c.sender.waitingFor(ctx.Err())
		}
	}
}

// waitingFor adds to an error what became of the oldest message that is pending.
func (s *sender) waitingFor(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.Status == "pending" {
			answer := fmt.Sprint("last answered ", m.Code)
			switch {
			case s.held:
				answer = "held until Release"
			case m.failure != nil:
				answer = fmt.Sprintf("last without an answer (%v)", m.failure)
			}
			return fmt.Errorf("waiting for deliveries: %d pending, first %s %s, posted %d times, %s: %w",
				s.count().Pending, m.Type, m.ID, m.Attempts, answer, err)
		}
	}
	return err
}

// Messages returns the message log, oldest first: every one that
// was not delivered, and at least the last 20,000 of the others.
func (c *Clerk) Messages() []Message {
	c.sender.mu.Lock()
	defer c.sender.mu.Unlock()
	out := make([]Message, len(c.sender.messages))
	for i, m := range c.sender.messages {
		out[i] = m.Message
	}
	return out
}

// Resend sends messages again under their old ids, as Clerk's dashboard does:
// those "failed", those "missing" (dropped), or "all" that are not pending,
// from since on. It returns how many.
func (c *Clerk) Resend(which string, since time.Time) int {
	c.sender.mu.Lock()
	defer c.sender.mu.Unlock()
	n := 0
	for _, m := range c.sender.messages {
		if m.open > 0 || m.At.Before(since) || which != "all" && which != m.Status {
			continue
		}
		n++
		m.Status = "pending"
		c.sender.deliver(m)
	}
	c.sender.start()
	return n
}

// send takes a message; plain ones are not subject to faults.
func (s *sender) send(m *message, plain bool) {
	faults := s.faults()
	if plain {
		faults = Faults{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.messages = append(s.messages, m)
	s.counts.Sent++
	m.serial = s.counts.Sent
	s.trim()
	if s.dice.hit(faults.Drop) {
		m.Status = "missing"
		return
	}
	deliver := s.deliver
	if s.dice.hit(faults.Reorder) {
		deliver = s.delay
	}
	deliver(m)
	if s.dice.hit(faults.Duplicate) {
		deliver(m)
	}
	s.start()
}

// deliver queues a message for every endpoint. The caller holds mu.
func (s *sender) deliver(m *message) {
	for _, to := range s.endpoints {
		m.open++
		s.queue = append(s.queue, &delivery{message: m, to: to})
	}
	if m.open == 0 {
		m.Status = "missing" // nobody to send it to
	}
}

// delay lets the next finished delivery overtake a message, or, where all that
// comes is delayed, the messages after it. The caller holds mu.
func (s *sender) delay(m *message) {
	for _, to := range s.endpoints {
		m.open++
		s.late = append(s.late, &delivery{message: m, to: to})
	}
	s.after(patience, func() { s.release(func(late *message) bool { return late.serial >= m.serial }) })
}

// release queues the late deliveries of some messages, the last first. The
// caller holds mu.
func (s *sender) release(these func(*message) bool) {
	for _, d := range slices.Backward(s.late) {
		if these(d.message) {
			s.queue = append(s.queue, d)
		}
	}
	s.late = slices.DeleteFunc(s.late, func(d *delivery) bool { return these(d.message) })
}

// trim keeps the log within its bounds. The caller holds mu.
func (s *sender) trim() {
	if len(s.messages) < s.full {
		return
	}
	surplus := len(s.messages) - maxMessages
	s.messages = slices.DeleteFunc(s.messages, func(m *message) bool {
		if surplus == 0 || m.open > 0 || m.Status != "delivered" {
			return false
		}
		surplus--
		s.counts.Delivered++
		return true
	})
	s.full = max(2*maxMessages, 2*len(s.messages))
}

// add counts one message by its state.
func (counts *Counts) add(m *message) {
	switch {
	case m.Status == "missing":
		counts.Dropped++
	case m.open > 0:
		counts.Pending++
	case m.Status == "failed":
		counts.Failed++
	default:
		counts.Delivered++
	}
}

// count sums up the log and what was trimmed from it. The caller holds mu.
func (s *sender) count() Counts {
	counts := s.counts
	for _, m := range s.messages {
		counts.add(m)
	}
	return counts
}

// waitIdle returns nil if nothing is open, else a channel that wake closes.
// The caller holds mu.
func (s *sender) waitIdle() <-chan struct{} {
	if len(s.queue) == 0 && len(s.late) == 0 && len(s.timers) == 0 && s.busy == 0 || s.closed {
		return nil
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	return s.idle
}

// wake tells those who wait to look again. The caller holds mu.
func (s *sender) wake() {
	if s.idle != nil && (s.busy == 0 || s.closed) {
		close(s.idle)
		s.idle = nil
	}
}
