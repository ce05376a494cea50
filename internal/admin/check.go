package admin

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Check is one question that an operator has about a mirror, with its answer.
type Check struct {
	Name    string `json:"name"` // webhooks, pass, lag, drift, quarantine, guard, leader, feed or clock
	Title   string `json:"-"`
	OK      bool   `json:"ok"`
	Value   string `json:"value"`            // the answer in a few words
	Detail  string `json:"detail,omitempty"` // more about it
	Advice  string `json:"advice,omitempty"` // what to do; empty if it is fine
	Unknown bool   `json:"unknown,omitempty"`
}

// Judged is a status with what to think of it: what `status --json` and /api/status tell.
type Judged struct {
	Healthy bool    `json:"healthy"` // all checks are fine
	Checks  []Check `json:"checks"`
	Status
}

// From when on something is amiss. The rules in deploy/alerts.yml have the same bounds.
const (
	PassOverdue = 48 * time.Hour // since the last complete full pass began
	lagTooLong  = time.Minute
	feedTooLate = time.Hour
	skewTooWide = 30 * time.Second
	foreignTime = time.Hour
	planTime    = time.Hour // within which a refused plan can be approved
)

// Judge answers all questions about a status as it is at an instant.
func (s Status) Judge(now time.Time) Judged {
	j := Judged{Healthy: true, Status: s}
	for _, ask := range []func(Status, time.Time) Check{
		checkWebhooks, checkPass, checkLag, checkDrift, checkQuarantine, checkGuard, checkLeader, checkFeed, checkClock,
	} {
		c := ask(s, now)
		if c.OK {
			c.Advice = ""
		}
		j.Healthy = j.Healthy && c.OK
		j.Checks = append(j.Checks, c)
	}
	return j
}

// Amiss returns the checks that are not fine.
func (j Judged) Amiss() (bad []Check) {
	for _, c := range j.Checks {
		if !c.OK {
			bad = append(bad, c)
		}
	}
	return bad
}

func checkWebhooks(s Status, now time.Time) Check {
	c := Check{Name: "webhooks", Title: "Webhooks", OK: true, Value: "none yet", Unknown: s.Events.LastAt == nil}
	if s.Events.LastAt != nil {
		c.Value, c.Detail = ago(*s.Events.LastAt, now), s.Events.LastType
	}
	if s.WebhooksSilent != nil && *s.WebhooksSilent {
		c.OK, c.Detail = false, "a pass found what a webhook should have told, and none has come since"
		c.Advice = "See whether the endpoint in Clerk's dashboard is enabled and has this URL and secret; clerksync doctor --url tries the way."
	}
	if f := s.Events.Foreign; f != nil && now.Sub(f.At) < foreignTime {
		c.OK, c.Detail = false, fmt.Sprintf("%d events of other instances were ignored, the last one of %s", f.Count, f.Last)
		c.Advice = "Another Clerk instance sends here with the same secret: take the endpoint out of its dashboard. Examples that a dashboard sends (Send Example) count, too; for those wait an hour."
	}
	return c
}

func checkPass(s Status, now time.Time) Check {
	c := Check{Name: "pass", Title: "Last complete pass", Value: "none yet", Unknown: true, OK: true}
	p, ran := s.Passes["full"]
	if !ran {
		c.Detail = "a full pass compares everything with Clerk"
		return c
	}
	c.Unknown = false
	if p.LastCompleteAt != nil {
		c.Value, c.OK = ago(*p.LastCompleteAt, now), now.Sub(*p.LastCompleteAt) < PassOverdue
	}
	switch {
	case p.FinishedAt == nil:
		c.Detail = "one is running, or was killed"
	case !p.Complete:
		c.OK, c.Detail = false, cmp.Or(p.Error, "the last one did not complete")
	}
	c.Advice = "clerksync reconcile runs one now, and says why it fails."
	return c
}

func checkLag(s Status, now time.Time) Check {
	c := Check{Name: "lag", Title: "Lag", OK: true, Value: "none yet", Unknown: true}
	if lag := s.Events.LagSeconds; lag != nil && s.Events.LastAt != nil {
		c.Unknown, c.Value, c.Detail = false, seconds(*lag), "from Clerk's timestamp of the last event to its receipt"
		c.OK = *lag < lagTooLong.Seconds() || now.Sub(*s.Events.LastAt) > foreignTime
		c.Advice = "Clerk's sender tries again later and later: look for answers other than 204 in its log, and at the clocks."
	}
	return c
}

func checkDrift(s Status, _ time.Time) Check {
	p, ran := s.Passes["full"]
	c := Check{Name: "drift", Title: "Drift", OK: true, Value: "no pass yet", Unknown: !ran}
	switch {
	case !ran:
	case p.Drift == 0:
		c.Value, c.Detail = "none", "the last full pass found no difference"
	default:
		c.Value, c.Detail = plural(p.Drift, "difference"), "found by the last full pass, which repairs them"
	}
	return c
}

func checkQuarantine(s Status, _ time.Time) Check {
	c := Check{Name: "quarantine", Title: "Quarantine", OK: s.Events.Quarantined == 0, Value: "empty"}
	if !c.OK {
		c.Value, c.Detail = plural(s.Events.Quarantined, "event"), "verified, and could not be applied"
		c.Advice = "clerksync events list --outcome quarantined shows them: retry what can be mended, drop the rest."
	}
	if s.Events.Held > 0 {
		c.Detail = plural(s.Events.Held, "deletion") + " among them wait for approval"
	}
	return c
}

func checkGuard(s Status, now time.Time) Check {
	c := Check{Name: "guard", Title: "Deletion guard", OK: true, Value: "quiet"}
	p, approved := s.Passes["full"], s.Passes["approved"]
	spent := approved.StartedAt.After(p.StartedAt) // a plan is good for one approval
	if p.Plan != "" && (!p.Complete || p.Error != "") && !(spent && approved.Complete) {
		c.OK, c.Value, c.Detail = false, "tripped", "the last pass would have deleted too much of a kind, and deleted nothing of it"
		c.Advice = "If those objects are gone indeed: clerksync reconcile --approve " + p.Plan
		if spent || p.FinishedAt != nil && now.Sub(*p.FinishedAt) >= planTime {
			c.Advice = "Its plan cannot be approved any more. clerksync reconcile looks again, and makes a plan that can."
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(s.Resources)) {
		if n := s.Resources[kind]; n.Burst() {
			c.OK, c.Value = false, "burst"
			c.Detail = fmt.Sprintf("webhooks told of %d deleted %s within an hour; %d are allowed", n.DeletionsTold, words(kind), n.DeletionsAllowed)
			c.Advice = "If nobody of yours deletes so much, rotate the signing secret and run a pass: it brings back what Clerk still has."
		}
	}
	return c
}

// NeverLed reports whether no daemon has ever run on the database: passes are run otherwise.
func (s Status) NeverLed() bool { return s.Leader == nil && s.Term == 0 && len(s.Replicas) == 0 }

func checkLeader(s Status, _ time.Time) Check {
	c := Check{Name: "leader", Title: "Leader", OK: s.Leader != nil, Value: "none", Detail: "nobody runs passes and erasures"}
	switch {
	case s.NeverLed():
		c.OK, c.Unknown, c.Value, c.Detail = true, true, "no daemon", "none has run here: whoever runs passes is told by the last one"
	case s.Leader != nil:
		c.Value, c.Detail = machine(s.Leader.Replica), fmt.Sprintf("term %d", s.Leader.Term)
	}
	if n := len(s.Replicas); n > 0 {
		c.Detail += ", " + plural(int64(n), "replica")
	}
	c.Advice = "A replica takes over within 20 seconds; if none does, see their logs for the lease."
	return c
}

func checkFeed(s Status, _ time.Time) Check {
	c := Check{Name: "feed", Title: "Change feed", OK: true, Value: "no relay", Unknown: len(s.Relays) == 0}
	worst := -1.0
	for _, name := range slices.Sorted(maps.Keys(s.Relays)) {
		if r := s.Relays[name]; r.OldestSeconds > worst {
			worst = r.OldestSeconds
			c.Value, c.Detail = seconds(worst)+" behind", fmt.Sprintf("relay %s delivered up to change %d", name, r.Seq)
		}
	}
	if worst == 0 {
		c.Value = "all delivered"
	}
	c.OK = worst < feedTooLate.Seconds()
	c.Advice = "The receiver does not take deliveries: see the log for its answers."
	return c
}

func checkClock(s Status, _ time.Time) Check {
	c := Check{Name: "clock", Title: "Clock", OK: true, Value: "not known yet", Unknown: s.ClockSkewSeconds == nil}
	if skew := s.ClockSkewSeconds; skew != nil {
		c.Value, c.Detail = seconds(math.Abs(*skew)), "so far is Clerk's clock ahead of ours"
		if *skew < 0 {
			c.Detail = "so far is Clerk's clock behind ours"
		}
		c.OK = math.Abs(*skew) < skewTooWide.Seconds()
		c.Advice = "Set this machine's clock: until then absences prove nothing."
	}
	return c
}

func plural(n int64, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// machine shortens a replica's name to its machine.
func machine(replica string) string {
	host, _, _ := strings.Cut(replica, "/")
	return host
}

// ago says how long ago something was, in one unit.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	if d < time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// seconds says a number of seconds in the unit that suits it.
func seconds(s float64) string {
	if math.Abs(s) < 10 {
		return fmt.Sprintf("%.2f s", s)
	}
	return span(time.Duration(s * float64(time.Second)))
}

func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	default:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	}
}
