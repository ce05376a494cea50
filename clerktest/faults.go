package clerktest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Faults are what goes wrong. Probabilities lie between 0 and 1 and are drawn
// from the instance's seed. The zero value is a faultless instance. The names
// of the members in JSON are those of POST /_emulator/faults, where durations
// are texts such as "50ms".
type Faults struct {
	// Drop is the probability that an event is never sent: it stays "missing"
	// until it is resent.
	Drop float64 `json:"drop"`
	// Duplicate is the probability that an event is delivered twice.
	Duplicate float64 `json:"duplicate"`
	// Reorder is the probability that an event is delivered after a later one.
	Reorder float64 `json:"reorder"`

	// RateLimit is how many API requests are allowed in 10 seconds; zero does
	// not limit. Clerk allows 1000 to production instances and 100 to others.
	RateLimit int `json:"rate_limit"`
	// Latency delays every API answer.
	Latency time.Duration `json:"latency"`
	// ErrorRate is the probability that a request is answered with a 500, a 502
	// of HTML or a 503, and changes nothing.
	ErrorRate float64 `json:"error_rate"`
	// Hang is the probability that a request is not answered until the client
	// gives up.
	Hang float64 `json:"hang"`
	// Unauthorized answers every API request with 401.
	Unauthorized bool `json:"unauthorized"`
	// Lag keeps objects out of every read until they are this old, as a replica
	// does that is behind.
	Lag time.Duration `json:"lag"`
	// Skew is added to the instance's clock: Date headers, timestamps of events
	// and signatures, created_at and updated_at.
	Skew time.Duration `json:"skew"`
	// WrongInstance is the id that GET /v1/instance tells in place of the real
	// one, as with the key of another instance.
	WrongInstance string `json:"wrong_instance"`

	// CursorRefused answers starting_after with 422, as an instance does that
	// does not know it yet.
	CursorRefused bool `json:"cursor_refused"`
	// LostCursor says what a page after a deleted user is: "" a 422, "empty" an
	// empty page. Clerk does not document it.
	LostCursor string `json:"lost_cursor"`
	// SkipRows is the probability that a listing passes over a row, in pages
	// that are full nevertheless.
	SkipRows float64 `json:"skip_rows"`
	// Repeat is the probability that a page tells a row twice.
	Repeat float64 `json:"repeat"`
	// Truncate is the probability that a page ends early.
	Truncate float64 `json:"truncate"`
	// Empty makes every page of every listing empty.
	Empty bool `json:"empty"`
	// CountDelta is added to the answers of GET /v1/users/count and to the
	// total_count of the other listings.
	CountDelta int `json:"count_delta"`

	// SilentCascade is the probability that a membership or domain which goes
	// down with its organization, or a membership with its user, is not
	// announced: Clerk does not promise these events.
	SilentCascade float64 `json:"silent_cascade"`
}

func (f Faults) check() error {
	for _, p := range []float64{f.Drop, f.Duplicate, f.Reorder, f.ErrorRate, f.Hang, f.SkipRows, f.Repeat, f.Truncate, f.SilentCascade} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("clerktest: the probability %v of a fault must lie between 0 and 1", p)
		}
	}
	if f.RateLimit < 0 || f.Latency < 0 || f.Lag < 0 {
		return errors.New("clerktest: rate limit, latency and lag must not be negative")
	}
	if f.LostCursor != "" && f.LostCursor != "empty" {
		return fmt.Errorf(`clerktest: lost_cursor is "" or "empty", not %q`, f.LostCursor)
	}
	return nil
}

// SetFaults replaces the faults; it takes effect with the next request and the
// next event. Safe for concurrent use.
func (c *Clerk) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return err
	}
	c.faults.Store(&f)
	return nil
}

// Faults returns the present faults. Safe for concurrent use.
func (c *Clerk) Faults() Faults { return *c.faults.Load() }

// dice are the seeded draws of one purpose, so that API requests do not change
// which events get lost.
type dice struct{ *rand.Rand }

func newDice(seed, purpose uint64) dice { return dice{rand.New(rand.NewPCG(seed, purpose))} }

// hit reports an event of probability p. It draws only when p is not zero.
func (d dice) hit(p float64) bool { return p > 0 && d.Float64() < p }
