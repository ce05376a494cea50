package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/clerksync/clerksync/internal/admin"
)

// totals returns what the charts of the status page are drawn from: the same counters that /metrics tells.
func (m *metrics) totals(replicas int) admin.Totals {
	t := admin.Totals{At: time.Now(), Replicas: replicas}
	t.Events, _ = observed(m.events)
	t.Lag, t.Lags = observed(m.lag)
	t.Pieces, t.Batches = observed(m.batch)
	return t
}

// observed adds up the values of counters or, of histograms, what they observed, and how often.
func observed(of prometheus.Collector) (total, times float64) {
	all := make(chan prometheus.Metric, (maxTypes+1)*(len(outcomes)+1)) // as many as the largest can have: "other" is a type, "foreign" an outcome
	of.Collect(all)
	close(all)
	for metric := range all {
		var m dto.Metric
		if metric.Write(&m) != nil {
			continue // only broken ones fail, and ours are whole
		}
		total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
		times += float64(m.GetHistogram().GetSampleCount())
	}
	return total, times
}

// sample draws the charts of the status page on, until the context ends.
func (d *daemon) sample(ctx context.Context) error {
	every(ctx, admin.SampleTime, func() { d.samples.Add(d.metrics.totals(int(d.presence.count.Load()))) })
	return nil
}
