package admin

import (
	"sync"
	"time"
)

// Totals are counts since the process began, as /metrics tells them, and what its gauges show.
type Totals struct {
	At       time.Time
	Events   float64 // events_total
	Lag      float64 // the sum of event_lag_seconds
	Lags     float64 // its count
	Pieces   float64 // the sum of apply_batch_size
	Batches  float64 // its count
	Replicas int
}

// Sample is what happened in this process between two [Totals].
type Sample struct {
	At       int64    `json:"at"`     // the end, in Unix seconds
	Events   float64  `json:"events"` // a second
	Lag      *float64 `json:"lag"`    // mean, in seconds; nil where no event came
	Batch    *float64 `json:"batch"`  // mean, in pieces of evidence; nil where nothing was written
	Replicas int      `json:"replicas"`
}

// SampleTime is how often totals are to be added, and an open page is brought up to date; half an hour of them is kept.
const (
	SampleTime  = 2 * time.Second
	samplesKept = 900
)

// Samples remembers the last half hour for the charts. Its zero value is ready; it may be used by any number of goroutines at once.
type Samples struct {
	mu   sync.Mutex
	last Totals
	kept []Sample
}

// Add adds what happened since the totals before.
func (s *Samples) Add(t Totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.last
	s.last = t
	passed := t.At.Sub(before.At).Seconds()
	if before.At.IsZero() || passed <= 0 {
		return
	}
	if len(s.kept) == samplesKept {
		s.kept = append(s.kept[:0], s.kept[1:]...)
	}
	s.kept = append(s.kept, Sample{
		At: t.At.Unix(), Events: (t.Events - before.Events) / passed, Replicas: t.Replicas,
		Lag: mean(t.Lag-before.Lag, t.Lags-before.Lags), Batch: mean(t.Pieces-before.Pieces, t.Batches-before.Batches),
	})
}

// Kept returns the samples after an instant in Unix seconds, the oldest first.
func (s *Samples) Kept(after int64) []Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	some := []Sample{}
	for _, sample := range s.kept {
		if sample.At > after {
			some = append(some, sample)
		}
	}
	return some
}

func mean(sum, n float64) *float64 {
	if n <= 0 {
		return nil
	}
	m := sum / n
	return &m
}
