package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clerksync/clerksync/internal/admin"
)

// What the status page shows beside the rest, so that each of its numbers can be recorded, too.
var (
	objects    = prometheus.NewDesc("clerksync_objects", "Objects of the mirror; state is visible or deleted.", []string{"resource", "state"}, nil)
	lastLag    = prometheus.NewDesc("clerksync_last_event_lag_seconds", "Time from the last event's timestamp to its receipt.", nil, nil)
	position   = prometheus.NewDesc("clerksync_feed_position", "The last change that a relay has delivered.", []string{"relay"}, nil)
	replicas   = prometheus.NewDesc("clerksync_replicas", "Daemons that share the database.", nil, nil)
	leaderTerm = prometheus.NewDesc("clerksync_leader_term", "How often a daemon began to lead.", nil, nil)
	passDrift  = prometheus.NewDesc("clerksync_last_pass_drift", "Differences that the last pass found, less those of a backfill.", []string{"kind"}, nil)
	passSeen   = prometheus.NewDesc("clerksync_pass_seen_objects", "Objects that the running full pass has seen.", []string{"resource"}, nil)
	passTotal  = prometheus.NewDesc("clerksync_pass_expected_objects", "Objects that Clerk counted when that walk began.", []string{"resource"}, nil)
	checks     = prometheus.NewDesc("clerksync_check_ok", "1 while the status page finds this fine.", []string{"check"}, nil)
)

// collectPage collects them.
func collectPage(gauge func(of *prometheus.Desc, value float64, labels ...string), s admin.Status) {
	for kind, n := range s.Resources {
		gauge(objects, float64(n.Visible), kind, "visible")
		gauge(objects, float64(n.Hidden), kind, "deleted")
	}
	if lag := s.Events.LagSeconds; lag != nil {
		gauge(lastLag, *lag)
	}
	for name, r := range s.Relays {
		gauge(position, float64(r.Seq), name)
	}
	gauge(replicas, float64(len(s.Replicas)))
	if s.Leader != nil {
		gauge(leaderTerm, float64(s.Leader.Term))
	}
	for kind, p := range s.Passes {
		gauge(passDrift, float64(p.Drift), kind)
	}
	for _, p := range s.Progress {
		gauge(passSeen, float64(p.Seen), p.Kind)
		gauge(passTotal, float64(p.Total), p.Kind)
	}
	for _, c := range s.Judge(time.Now()).Checks {
		gauge(checks, oneIf(c.OK), c.Name)
	}
}
