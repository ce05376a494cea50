package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
)

// well is the status of a mirror with which all is well.
func well(now time.Time) admin.Status {
	lag, skew, silent := 0.4, 0.1, false
	recent := now.Add(-time.Minute)
	return admin.Status{
		Events:           admin.Events{LastAt: &recent, LastType: "user.updated", LagSeconds: &lag},
		Passes:           map[string]admin.Pass{"full": {StartedAt: recent, FinishedAt: &now, Complete: true, LastCompleteAt: &recent}},
		Leader:           &admin.Leader{Replica: "host/1", Term: 3},
		Term:             3,
		Relays:           map[string]admin.Relay{"one": {Seq: 5}},
		ClockSkewSeconds: &skew,
		WebhooksSilent:   &silent,
	}
}

// TestJudge spoils one thing after the other; just the check about it must tell, with advice.
func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	if j := well(now).Judge(now); !j.Healthy || len(j.Amiss()) > 0 {
		t.Errorf("all is well, and amiss are %+v", j.Amiss())
	}
	if j := (admin.Status{}).Judge(now); !j.Healthy {
		t.Errorf("nothing has happened yet, and amiss are %+v", j.Amiss())
	}
	for name, spoil := range map[string]func(*admin.Status){
		"webhooks silent":    func(s *admin.Status) { yes := true; s.WebhooksSilent = &yes },
		"webhooks of others": func(s *admin.Status) { s.Events.Foreign = &clerksync.Foreign{Count: 1, Last: "ins_2", At: now} },
		"pass overdue": func(s *admin.Status) {
			old := now.Add(-49 * time.Hour)
			spoilPass(s, admin.Pass{Complete: true, FinishedAt: &now, LastCompleteAt: &old})
		},
		"pass incomplete": func(s *admin.Status) {
			spoilPass(s, admin.Pass{FinishedAt: &now, LastCompleteAt: &now, Error: "it broke"})
		},
		"lag":        func(s *admin.Status) { lag := 61.0; s.Events.LagSeconds = &lag },
		"quarantine": func(s *admin.Status) { s.Events.Quarantined = 1 },
		"guard by a burst": func(s *admin.Status) {
			s.Resources = map[string]admin.Population{"users": {DeletionsTold: 11, DeletionsAllowed: 10}}
		},
		"leader":       func(s *admin.Status) { s.Leader = nil },
		"feed":         func(s *admin.Status) { s.Relays["two"] = admin.Relay{OldestSeconds: 3601} },
		"clock ahead":  func(s *admin.Status) { skew := 31.0; s.ClockSkewSeconds = &skew },
		"clock behind": func(s *admin.Status) { skew := -31.0; s.ClockSkewSeconds = &skew },
		"guard pass, and guard": func(s *admin.Status) {
			spoilPass(s, admin.Pass{FinishedAt: &now, LastCompleteAt: &now, Plan: "abc", Error: "it tripped"})
		},
	} {
		s := well(now)
		spoil(&s)
		j := s.Judge(now)
		var amiss []string
		for _, c := range j.Amiss() {
			amiss = append(amiss, c.Name)
			if c.Advice == "" || c.Value == "" {
				t.Errorf("%s: no advice or no value: %+v", name, c)
			}
		}
		if j.Healthy || len(amiss) == 0 {
			t.Errorf("%s: healthy", name)
		}
		for _, of := range amiss {
			if !strings.Contains(name, of) {
				t.Errorf("%s: amiss is %s", name, of)
			}
		}
	}
}

// TestGuardAfterAPlan has the guard trip, and then time pass or the plan be approved: what cannot be done any more is not advised.
func TestGuardAfterAPlan(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		name     string
		finished time.Duration // of the pass that tripped it, before now
		approved admin.Pass
		ok       bool
		advice   string
	}{
		{"just now", time.Minute, admin.Pass{}, false, "--approve abc"},
		{"after another plan was approved", time.Minute, admin.Pass{StartedAt: now.Add(-2 * time.Hour), Complete: true}, false, "--approve abc"},
		{"expired", time.Hour, admin.Pass{}, false, "clerksync reconcile looks again"},
		{"approval interrupted", time.Minute, admin.Pass{StartedAt: now.Add(-time.Second)}, false, "clerksync reconcile looks again"},
		{"approved", time.Minute, admin.Pass{StartedAt: now.Add(-time.Second), Complete: true}, true, ""},
	} {
		s, finished := well(now), now.Add(-c.finished)
		s.Passes["full"] = admin.Pass{StartedAt: finished.Add(-time.Minute), FinishedAt: &finished, Complete: true, LastCompleteAt: &finished, Plan: "abc", Error: "it tripped"}
		s.Passes["approved"] = c.approved
		for _, check := range s.Judge(now).Checks {
			if check.Name == "guard" && (check.OK != c.ok || !strings.Contains(check.Advice, c.advice)) {
				t.Errorf("%s: %+v", c.name, check)
			}
		}
	}
}

func spoilPass(s *admin.Status, p admin.Pass) { s.Passes["full"] = p }

// TestProgress computes rate and rest.
func TestProgress(t *testing.T) {
	t.Parallel()
	began := time.Now()
	for _, c := range []struct {
		seen, total int64
		spent       time.Duration
		rate        float64
		remaining   time.Duration
	}{
		{500, 2000, 10 * time.Second, 50, 30 * time.Second},
		{0, 2000, 10 * time.Second, 0, 0},
		{500, 2000, 0, 0, 0},
		{2001, 2000, time.Second, 2001, 0},
	} {
		p := admin.Progress{Seen: c.seen, Total: c.total, StartedAt: began, AsOf: began.Add(c.spent)}
		if p.Rate() != c.rate || p.Remaining() != c.remaining {
			t.Errorf("%+v: %v a second, %v left", c, p.Rate(), p.Remaining())
		}
	}
}

// TestSamples adds more totals than are kept.
func TestSamples(t *testing.T) {
	t.Parallel()
	var s admin.Samples
	start := time.Unix(1_700_000_000, 0)
	for i := range 1000 {
		s.Add(admin.Totals{At: start.Add(time.Duration(i) * 2 * time.Second), Events: float64(10 * i), Pieces: float64(6 * i), Batches: float64(2 * i), Replicas: 1})
	}
	kept := s.Kept(0)
	three := 3.0
	last := admin.Sample{At: start.Unix() + 1998, Events: 5, Batch: &three, Replicas: 1}
	if len(kept) != 900 {
		t.Fatalf("%d are kept", len(kept))
	}
	if diff := cmp.Diff(last, kept[899]); diff != "" {
		t.Errorf("the last one (-want +got):\n%s", diff)
	}
	if some := s.Kept(last.At - 2); len(some) != 1 {
		t.Errorf("%d since the last but one", len(some))
	}
}
