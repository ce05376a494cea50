package main

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/reconcile"
	"github.com/clerksync/clerksync/webhook"
)

// metrics are what Prometheus is told. The library's rooms know nothing of it: they call back, and this file counts. No label holds
// an id or anything personal.
type metrics struct {
	registry *prometheus.Registry

	requests     *prometheus.CounterVec
	duration     prometheus.Histogram
	events       *prometheus.CounterVec
	lag          prometheus.Histogram
	changes      *prometheus.CounterVec
	batch        prometheus.Histogram
	passes       *prometheus.CounterVec
	passDuration *prometheus.HistogramVec
	drift        *prometheus.CounterVec
	unannounced  prometheus.Counter
	guardTrips   prometheus.Counter
	clerk        *prometheus.CounterVec
	verified     *prometheus.CounterVec
	crowded      *prometheus.CounterVec
	refused      prometheus.Counter
	renewals     *prometheus.CounterVec
	logins       *prometheus.CounterVec
	published    *prometheus.CounterVec
	unpublished  *prometheus.CounterVec
	lost         prometheus.Counter
	leader       prometheus.Gauge

	heard atomic.Int64 // when an event of the mirrored instance arrived last, in Unix milliseconds

	mu    sync.Mutex
	types map[string]bool // the event types that have labels of their own
}

// expect begins the series of the kinds that passes look at, or the first repair would not be seen to rise.
func (m *metrics) expect(kinds []clerksync.Kind) {
	for _, kind := range kinds {
		if kind.Listed() {
			m.observeDrift(reconcile.Report{Resources: map[clerksync.Kind]reconcile.Counts{kind: {}}})
		}
	}
}

// maxTypes bounds how many event types become labels. Clerk documents 45.
const maxTypes = 100

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), types: map[string]bool{}}
	m.requests = m.counters("webhook_requests_total", "Requests to the webhook endpoint by HTTP status and, unless 204, why.", "code", "reason")
	m.duration = m.histogram("webhook_duration_seconds", "Time to answer a request to the webhook endpoint.", prometheus.ExponentialBuckets(0.001, 2, 14))
	m.events = m.counters("events_total", "Verified events by type and outcome; outcome foreign means another Clerk instance's.", "type", "outcome")
	m.lag = m.histogram("event_lag_seconds", "Time from an event's timestamp to its commit.", prometheus.ExponentialBuckets(0.01, 4, 12))
	m.changes = m.counters("changes_total", "Visible changes of the mirror.", "resource", "op", "source")
	m.batch = m.histogram("apply_batch_size", "Pieces of evidence committed in one transaction.", prometheus.ExponentialBuckets(1, 2, 10))
	m.passes = m.counters("passes_total", "Passes by how they ended: done, guard, incomplete or failed.", "kind", "result")
	for _, kind := range []reconcile.Kind{reconcile.Full, reconcile.Delta} { // or the first failure would not be seen to rise
		m.passes.WithLabelValues(string(kind), "incomplete")
		m.passes.WithLabelValues(string(kind), "failed")
	}
	m.passDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "clerksync_pass_duration_seconds", Help: "Time that a pass took.", Buckets: prometheus.ExponentialBuckets(0.1, 4, 10),
	}, []string{"kind"})
	m.registry.MustRegister(m.passDuration)
	m.drift = m.counters("drift_total", "Differences that passes found and repaired, less those of a backfill.", "resource", "op")
	m.unannounced = m.counter("unannounced_total", "Differences older than 10 minutes that no webhook had told.")
	m.guardTrips = m.counter("guard_trips_total", "Passes that the deletion guard kept from deleting.")
	m.clerk = m.counters("clerk_requests_total", "Requests to Clerk's API by endpoint and HTTP status; error means that no answer came.", "endpoint", "code")
	m.logins = m.counters("logins_total", "Logins by result; counted where the login helper runs.", "result")
	m.verified = m.counters("webhook_verified_total", "Verified deliveries by which of the signing secrets, counted from 1, verified them.", "secret")
	m.crowded = m.counters("crowded_out_total", "Connections that were closed because too many were open.", "listener")
	m.refused = m.counter("admin_refused_total", "Requests to the admin listener with a wrong token.")
	m.renewals = m.counters("renewals_total", "Changed files of secrets and certificates, by what became of them.", "name", "result")
	m.published = m.counters("feed_published_total", "Changes that a receiver took.", "relay")
	m.unpublished = m.counters("feed_failures_total", "Deliveries that a receiver did not take, and that are tried again.", "relay")
	m.lost = m.counter("feed_lost_total", "Changes that were removed for their age before every relay had delivered them.")
	m.leader = prometheus.NewGauge(prometheus.GaugeOpts{Name: "clerksync_leader", Help: "1 while this replica leads: it runs the passes, and what is done at intervals."})
	m.registry.MustRegister(m.leader)
	m.begin()
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo())
	return m
}

// begin begins the series of what alerts watch for: one that begins above 0 is not seen to rise, so the first trouble after a start would
// ring nothing, and where there is little to do there is no second for hours.
func (m *metrics) begin() {
	for reason, code := range map[string]string{"": "204", "signature": "401", "old": "401", "future": "401",
		"gone": "499", "unavailable": "503", "overload": "503", "draining": "503"} {
		m.requests.WithLabelValues(code, reason)
	}
	for _, endpoint := range []string{"/instance", "/users", "/users/count"} { // whatever else is read, one of these is read first
		m.clerk.WithLabelValues(endpoint, "401")
		m.clerk.WithLabelValues(endpoint, "403")
	}
}

func (m *metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "clerksync_" + name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "clerksync_" + name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "clerksync_" + name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

func buildInfo() prometheus.Collector {
	b := readBuild()
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "clerksync_build_info", Help: "Always 1; the labels tell which build this is.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go},
	})
	g.Set(1)
	return g
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// observeDelivery is called after every request to the webhook endpoint.
func (m *metrics) observeDelivery(d webhook.Delivery) {
	m.requests.WithLabelValues(strconv.Itoa(d.Code), d.Reason).Inc()
	m.duration.Observe(d.Duration.Seconds())
	if d.Secret > 0 {
		m.verified.WithLabelValues(strconv.Itoa(d.Secret)).Inc()
	}
	if d.Outcome == "" {
		return
	}
	if !d.Foreign && d.Type != doctorEvent {
		m.heard.Store(time.Now().UnixMilli())
	}
	outcome := string(d.Outcome)
	if d.Foreign {
		outcome = "foreign"
	}
	m.events.WithLabelValues(m.label(d.Type), outcome).Inc()
	if d.Lag > 0 {
		m.lag.Observe(d.Lag.Seconds())
	}
}

// label returns an event's type, or "other" once there are too many: each type is a time series for ever.
func (m *metrics) label(typ string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.types[typ] && len(m.types) >= maxTypes {
		return "other"
	}
	m.types[typ] = true
	return typ
}

// observeCommit is called after every transaction of the mirror.
func (m *metrics) observeCommit(c clerksync.Commit) {
	if c.Unknown {
		return
	}
	m.batch.Observe(float64(c.Pieces))
	for _, change := range c.Changes {
		m.changes.WithLabelValues(string(change.Kind), string(change.Op), string(change.Source)).Inc()
	}
}

// observePass is called after every pass.
func (m *metrics) observePass(r reconcile.Report) {
	m.passDuration.WithLabelValues(string(r.Kind)).Observe(r.FinishedAt.Sub(r.StartedAt).Seconds())
	m.passes.WithLabelValues(string(r.Kind), passResult(r)).Inc()
	if len(r.Refused) > 0 {
		m.guardTrips.Inc()
	}
	if r.Unannounced != nil {
		m.unannounced.Add(float64(*r.Unannounced))
	}
	if !r.DryRun && !r.Fills {
		m.observeDrift(r)
	}
}

// passResult says in one word how a pass ended. An incomplete listing outweighs the guard, as in exit codes.
func passResult(r reconcile.Report) string {
	switch {
	case len(r.Incomplete) > 0:
		return "incomplete"
	case len(r.Refused) > 0:
		return "guard"
	case r.Error != "":
		return "failed"
	default:
		return "done"
	}
}

func (m *metrics) observeDrift(r reconcile.Report) {
	for kind, n := range r.Resources {
		for op, count := range map[string]int64{"created": n.Created, "updated": n.Updated, "deleted": n.Deleted, "revived": n.Revived} {
			m.drift.WithLabelValues(string(kind), op).Add(float64(count))
		}
	}
}

// crowdedOut returns what a listener calls for every connection that had to leave for want of room.
func (m *metrics) crowdedOut(listener string) func() { return m.crowded.WithLabelValues(listener).Inc }

// observeRequest is called after every try of a request to Clerk.
func (m *metrics) observeRequest(endpoint string, status int) {
	code := strconv.Itoa(status)
	if status == 0 {
		code = "error"
	}
	m.clerk.WithLabelValues(endpoint, code).Inc()
}

// observeRelay is called after every delivery that a relay tried.
func (m *metrics) observeRelay(d feed.Delivery) {
	if d.Err != nil {
		m.unpublished.WithLabelValues(d.Relay).Inc()
		return
	}
	m.published.WithLabelValues(d.Relay).Add(float64(d.Messages))
}

// observeLogin is called after every login that the demo makes.
func (m *metrics) observeLogin(result string) { m.logins.WithLabelValues(result).Inc() }
