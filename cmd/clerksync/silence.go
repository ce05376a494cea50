package main

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// silence is the alarm that webhooks do not arrive: it rings from when a pass found differences that no webhook had told, until an
// event comes from the instance that is mirrored.
type silence struct {
	prometheus.GaugeFunc

	mu          sync.Mutex
	last, since time.Time // of those events; of the differences
}

func newSilence() *silence {
	s := &silence{}
	s.GaugeFunc = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "clerksync_webhooks_silent",
		Help: "1 from when a pass of this replica found differences that no webhook had told, until an event arrives.",
	}, s.read)
	return s
}

// heard notes that such an event arrived.
func (s *silence) heard(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.After(s.last) {
		s.last = at
	}
}

// found notes how many differences a pass found that no webhook had told.
func (s *silence) found(unannounced int64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if unannounced > 0 {
		s.since = at
	}
}

func (s *silence) read() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.After(s.last) {
		return 1
	}
	return 0
}
