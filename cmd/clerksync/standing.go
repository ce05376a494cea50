package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/internal/crash"
)

// watch adds what is read from the mirror: it holds across restarts and for all processes that share the database.
func (m *metrics) watch(mirror *clerksync.Mirror, status func(context.Context) (admin.Status, error)) (stop func()) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "clerksync_clock_skew_seconds", Help: "How far Clerk's clock is ahead of ours.",
		}, func() float64 { skew, _ := mirror.Skew(); return skew.Seconds() }),
		&standing{status: status},
	)
	return mirror.Watch(m.observeCommit)
}

// standing is the collector of what the database tells.
type standing struct {
	status func(context.Context) (admin.Status, error)
}

var (
	quarantined  = prometheus.NewDesc("clerksync_quarantined_events", "Events that wait for an operator.", nil, nil)
	deferred     = prometheus.NewDesc("clerksync_deferred_events", "Events that are dated in the future and wait for that.", nil, nil)
	foreign      = prometheus.NewDesc("clerksync_foreign_events", "Events of other Clerk instances that were ignored, ever, by all replicas.", nil, nil)
	held         = prometheus.NewDesc("clerksync_held_deletions", "Deletions that wait for an operator's approval.", nil, nil)
	told         = prometheus.NewDesc("clerksync_told_deletions", "Deletions that webhooks told of within the last hour.", []string{"resource"}, nil)
	burst        = prometheus.NewDesc("clerksync_deletion_burst", "1 while those are more than the deletion guard allows.", []string{"resource"}, nil)
	silent       = prometheus.NewDesc("clerksync_webhooks_silent", "1 from when a pass found differences that no webhook had told, until an event arrives.", nil, nil)
	lastEvent    = prometheus.NewDesc("clerksync_last_event_timestamp_seconds", "When the last event was received.", nil, nil)
	unsent       = prometheus.NewDesc("clerksync_feed_oldest_unpublished_seconds", "Age of the oldest change that a relay has not delivered.", []string{"relay"}, nil)
	lastComplete = prometheus.NewDesc("clerksync_last_complete_pass_timestamp_seconds", "When the last complete pass began.", []string{"kind"}, nil)
)

// Describe implements [prometheus.Collector].
func (s *standing) Describe(ch chan<- *prometheus.Desc) {
	for _, gauge := range []*prometheus.Desc{
		quarantined, deferred, foreign, held, told, burst, silent, lastEvent, unsent, lastComplete,
		objects, lastLag, position, replicas, leaderTerm, passDrift, passSeen, passTotal, checks,
	} {
		ch <- gauge
	}
}

// Collect implements [prometheus.Collector]. While the database does not answer, it collects nothing: the other metrics go on.
func (s *standing) Collect(ch chan<- prometheus.Metric) {
	_ = crash.Contain(func() error { return s.collect(ch) })
}

func (s *standing) collect(ch chan<- prometheus.Metric) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	now, err := s.status(ctx)
	if err != nil {
		return err
	}
	gauge := func(of *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, labels...)
	}
	gauge(quarantined, float64(now.Events.Quarantined))
	gauge(deferred, float64(now.Events.Deferred))
	strangers := 0.0
	if f := now.Events.Foreign; f != nil {
		strangers = float64(f.Count)
	}
	gauge(foreign, strangers)
	gauge(held, float64(now.Events.Held))
	for kind, n := range now.Resources {
		gauge(told, float64(n.DeletionsTold), kind)
		gauge(burst, oneIf(n.Burst()), kind)
	}
	gauge(silent, oneIf(now.WebhooksSilent != nil && *now.WebhooksSilent))
	if at := now.Events.LastAt; at != nil {
		gauge(lastEvent, unix(*at))
	}
	for name, r := range now.Relays {
		gauge(unsent, r.OldestSeconds, name)
	}
	for kind, pass := range now.Passes {
		if at := pass.LastCompleteAt; at != nil {
			gauge(lastComplete, unix(*at), kind)
		}
	}
	collectPage(gauge, now)
	return nil
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
