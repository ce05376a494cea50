package reconcile

import (
	"slices"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Report is what a pass did; its JSON is what `clerksync reconcile --json` prints.
type Report struct {
	Kind       Kind      `json:"kind"`
	InstanceID string    `json:"instance_id"`
	Complete   bool      `json:"complete"` // a full pass: every list was read whole; a delta pass: back to the watermark; an approved one: all was asked for
	DryRun     bool      `json:"dry_run"`
	Fills      bool      `json:"-"`          // no full pass had been complete when it began, so what it adds is a backfill and no drift
	StartedAt  time.Time `json:"started_at"` // of the first try, where the pass went on from a killed one
	FinishedAt time.Time `json:"finished_at"`

	Resources map[clerksync.Kind]Counts `json:"resources"`

	// Unannounced is how many differences older than 10 minutes no webhook had told. When an object was deleted is unknown, so each
	// deletion counts. Nil where no webhooks are expected.
	Unannounced *int64 `json:"unannounced,omitempty"`

	Requests   int64            `json:"requests"`             // to Clerk, by this process
	Retries    int64            `json:"retries"`              // how many of them were repeats
	Plan       string           `json:"plan,omitempty"`       // the SHA-256 of a deletion plan that the guard refused, or an operator approved
	Refused    []clerksync.Kind `json:"refused,omitempty"`    // the kinds that the plan is about
	Incomplete []clerksync.Kind `json:"incomplete,omitempty"` // the kinds whose lists were incomplete
	Error      string           `json:"error,omitempty"`      // why the pass did not do all of its work
}

// Counts are what a pass met and did among the objects of one kind. A dry run counts what a pass would do.
type Counts struct {
	Seen        int64 `json:"seen"` // objects that the list showed, each once
	Created     int64 `json:"created"`
	Updated     int64 `json:"updated"`
	Deleted     int64 `json:"deleted"`
	Revived     int64 `json:"revived"`
	Refreshed   int64 `json:"refreshed"` // only what does not matter had moved, such as last_active_at
	Unchanged   int64 `json:"unchanged"`
	Stale       int64 `json:"stale"` // the mirror knew something newer already
	Quarantined int64 `json:"quarantined"`
	Candidates  int64 `json:"candidates"` // rows that a complete scan did not show and the guard decided about
	Pending     int64 `json:"pending"`    // rows or differences too young to decide about, or that Clerk could not confirm
}

// Drift is how many differences between Clerk and the mirror the pass found: what it repaired or, as a dry run, would have. The
// pending ones are not among them.
func (r Report) Drift() int64 {
	var n int64
	for kind, c := range r.Resources {
		n += c.Created + c.Updated + c.Revived + c.Deleted
		if slices.Contains(r.Refused, kind) {
			n += c.Candidates // none of them is deleted
		}
	}
	return n
}

// Total adds up the counts of all kinds: those of what was seen, what came of it and what is pending.
func (r Report) Total() (t Counts) {
	for _, c := range r.Resources {
		t.Seen += c.Seen
		t.Created += c.Created
		t.Updated += c.Updated
		t.Revived += c.Revived
		t.Deleted += c.Deleted
		t.Quarantined += c.Quarantined
		t.Pending += c.Pending
	}
	return t
}

// count adds an outcome.
func (c *Counts) count(o clerksync.Outcome) {
	switch o {
	case clerksync.Created:
		c.Created++
	case clerksync.Updated:
		c.Updated++
	case clerksync.Deleted:
		c.Deleted++
	case clerksync.Revived:
		c.Revived++
	case clerksync.Refreshed:
		c.Refreshed++
	case clerksync.Unchanged:
		c.Unchanged++
	case clerksync.Stale:
		c.Stale++
	case clerksync.Quarantined:
		c.Quarantined++
	case clerksync.Deferred:
		c.Pending++
	}
}
