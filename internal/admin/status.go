package admin

import (
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Status is what an operator wants to know about a mirror at a glance.
type Status struct {
	InstanceID string                `json:"instance_id"` // the pinned Clerk instance; empty while none is
	Resources  map[string]Population `json:"resources"`   // by kind, of those that are mirrored
	Events     Events                `json:"events"`
	Passes     map[string]Pass       `json:"passes"`             // the last one of each kind, such as "full" and "delta"; dry runs are left out
	Relays     map[string]Relay      `json:"relays"`             // of the change feed, by name, also of those that no longer run
	Leader     *Leader               `json:"leader"`             // of the daemons that share the database; nil while none leads
	Term       int64                 `json:"term"`               // of the last leader; 0 where no daemon has ever led, since passes are run otherwise
	Replicas   []Replica             `json:"replicas,omitempty"` // the daemons that share the database and were heard of within half a minute
	Progress   []Progress            `json:"progress,omitempty"` // of the full pass that runs, or was killed within the last hour

	// ClockSkewSeconds is how far Clerk's clock is ahead of ours; nil in a process that has not heard of Clerk yet.
	ClockSkewSeconds *float64 `json:"clock_skew_seconds,omitempty"`

	// WebhooksSilent tells that a pass found what a webhook should have told, and that no event has come since; nil where no pass has
	// found such things, in a process that runs none.
	WebhooksSilent *bool `json:"webhooks_silent,omitempty"`

	// SilentSince is when the pass began that found such things last; zero where none has.
	SilentSince time.Time `json:"-"`

	// Order lists the kinds of Resources in the order in which people are shown them.
	Order []string `json:"-"`
}

// Population counts the objects of a kind.
type Population struct {
	Visible int64 `json:"visible"`
	Hidden  int64 `json:"hidden"` // tombstones

	DeletionsTold    int64 `json:"deletions_told"`    // by webhooks within the last hour
	DeletionsAllowed int64 `json:"deletions_allowed"` // how many of those the guard allows
}

// Burst reports whether webhooks have told of more deletions within an hour than the guard allows.
func (p Population) Burst() bool { return p.DeletionsTold > p.DeletionsAllowed }

// Events tells how webhooks fare.
type Events struct {
	Quarantined int64              `json:"quarantined"`
	Held        int64              `json:"held"` // deletions that wait for approval, among those in quarantine
	Deferred    int64              `json:"deferred"`
	Foreign     *clerksync.Foreign `json:"foreign,omitempty"` // nil if there were none
	LastAt      *time.Time         `json:"last_received_at"`  // nil if there was none
	LastType    string             `json:"last_type,omitempty"`
	LagSeconds  *float64           `json:"lag_seconds,omitempty"` // of the last one, from Clerk's timestamp to its receipt
}

// Pass is the last pass of a kind.
type Pass struct {
	StartedAt      time.Time  `json:"started_at"`
	FinishedAt     *time.Time `json:"finished_at"` // nil while it runs, or if it was killed
	Complete       bool       `json:"complete"`
	Plan           string     `json:"plan,omitempty"`
	Drift          int64      `json:"drift"` // differences that it found; none for a backfill
	Error          string     `json:"error,omitempty"`
	LastCompleteAt *time.Time `json:"last_complete_at"` // when the last complete pass of this kind began; nil if there was none
}

// Relay tells how a relay of the change feed fares.
type Relay struct {
	Seq           int64   `json:"seq"`                        // of the last change that it delivered
	OldestSeconds float64 `json:"oldest_unpublished_seconds"` // age of the oldest change that it did not deliver yet; 0 if it delivered all
}

// Leader is the daemon that runs the passes, and what is done at intervals.
type Leader struct {
	Replica string `json:"replica"` // its machine, and what tells it from others there; the log has it, too
	Term    int64  `json:"term"`    // counts how often a daemon began to lead
}

// Replica is one of the daemons that share the database.
type Replica struct {
	Name   string    `json:"name"`    // its machine, and what tells it from others there
	SeenAt time.Time `json:"seen_at"` // by its own clock
	Leads  bool      `json:"leads"`
}

// Progress is how far a full pass is with one kind of objects.
type Progress struct {
	Kind      string    `json:"kind"`
	Seen      int64     `json:"seen"`
	Total     int64     `json:"total"` // as Clerk counted when the walk began
	StartedAt time.Time `json:"started_at"`
	AsOf      time.Time `json:"as_of"`
}

// Rate returns how many objects were seen a second.
func (p Progress) Rate() float64 {
	spent := p.AsOf.Sub(p.StartedAt).Seconds()
	if spent <= 0 {
		return 0
	}
	return float64(p.Seen) / spent
}

// Remaining returns how long the rest takes at that rate; zero if that is not known.
func (p Progress) Remaining() time.Duration {
	rate := p.Rate()
	if rate <= 0 || p.Seen >= p.Total {
		return 0
	}
	return time.Duration(float64(p.Total-p.Seen) / rate * float64(time.Second)).Round(time.Second)
}
