package sync_test

import (
	"cmp"
	"slices"
)

// clue is a piece of evidence on its way to us. Its times are ours, but for those that Clerk writes into an event: updated and at.
type clue struct {
	version
	event    bool  // told by a webhook; otherwise read
	at       int64 // the event's timestamp, a second's taken as its end, or the start of the read; 0 for an event without one
	received int64
	arrived  int64 // received, by Clerk's clock
	viewed   int64 // of a read: the instant, by Clerk's clock, whose state it shows
	skewed   bool  // a read under a clock that is known to be off
	login    bool  // a read that is always written
}

// history is an object's life at Clerk and the evidence of it that reaches us, in the order in which it does.
type history struct {
	life
	clerk
	violated bool  // clocks are off by more than they may be
	machines bool  // reads come from several machines, each with a clock of its own
	skew     int64 // our clock less Clerk's
	clues    []clue
	quiet    int64 // after this instant, by Clerk's clock, nothing happens and nothing arrives
}

// delays are how long messages take.
var delays = [...]int64{0, 0, 1, 20, second, kappa, sigma, 5 * minute, hour, 28 * hour, 90 * 24 * hour}

// skews are how far our clock is from Clerk's.
var skews = [...]int64{0, 1, sigma / 2, sigma/2 + 1, sigma - 1, sigma, -1, -sigma / 2, -sigma/2 - 1, -sigma}

// invent makes up a history.
func (h *history) invent(pick chance) {
	*h = history{clerk: clerk{versions: h.versions[:0]}, clues: h.clues[:0]}
	switch pick(8) {
	case 0, 1, 2:
	case 3:
		h.restores = true
	case 4, 5:
		h.restores, h.rollsBack = true, true
	case 6:
		h.machines = true
	default:
		h.restores, h.rollsBack, h.violated = pick(2) == 0, pick(2) == 0, true
	}
	h.skew = skews[pick(len(skews))]
	for range 1 + pick(6) {
		h.live(pick, h.life)
	}
	var before version
	for _, v := range h.versions {
		h.announce(pick, before, v)
		for range pick(3) {
			h.look(pick, v.from)
		}
		before = v
	}
	h.quiet = h.last().from
	for i := range h.clues {
		h.settle(&h.clues[i])
	}
	slices.SortStableFunc(h.clues, func(a, b clue) int { return cmp.Compare(a.arrived, b.arrived) })
}

// announce sends the events of a version, unless it came about silently.
func (h *history) announce(pick chance, before, v version) {
	silent := v.exists == before.exists && v.updated == before.updated && v.content == before.content
	if silent || v.updated < before.updated {
		return
	}
	at := v.from + []int64{0, 15, 18}[pick(3)]
	if !v.exists {
		at = v.from + []int64{-kappa, -1, 0, 15}[pick(4)]
	}
	h.send(pick, v, at, v.from)
	if v.exists && pick(4) == 0 { // an event of a session, which carries the user as he is
		at := v.from + steps[pick(len(steps))]
		if seen := h.seen(at); seen.exists {
			h.send(pick, seen, at, at)
		}
	}
}

// send delivers an event: once, never, or twice; with a timestamp in milliseconds, in seconds, or none.
func (h *history) send(pick chance, v version, at, from int64) {
	c := clue{version: v, event: true, at: at}
	switch pick(6) {
	case 0:
		c.at = at - at%second + second - 1
	case 1:
		c.at = 0
	}
	if h.violated && c.at != 0 {
		c.at += []int64{0, -10 * minute, 10 * minute, -48 * hour, 48 * hour}[pick(5)]
	}
	for range []int{1, 1, 1, 1, 0, 2}[pick(6)] {
		c.arrived = from + delays[pick(len(delays))]
		c.received = c.arrived + h.skew
		h.clues = append(h.clues, c)
	}
}

// look reads the object at about an instant of Clerk's. What the read shows may be stale, or newer than its start.
func (h *history) look(pick chance, about int64) {
	start := about + []int64{-1, 1}[pick(2)]*steps[pick(len(steps))]
	viewed := start + []int64{-staleness, -staleness + 1, -1, 0, 1, 30 * second}[pick(6)]
	skew := h.skew
	if h.machines {
		skew = skews[pick(len(skews))]
	}
	if h.violated {
		skew += []int64{0, -10 * minute, 10 * minute}[pick(3)]
	}
	c := clue{version: h.seen(viewed), at: start + skew, viewed: viewed, login: pick(4) == 0}
	c.arrived = max(start, viewed) + delays[pick(6)]
	c.received = c.arrived + skew
	// The Date header tells the skew, where an answer has one.
	c.skewed = (skew > sigma/2 || skew < -sigma/2) && pick(2) == 0
	if !c.exists && (c.skewed || pick(2) == 0) {
		return // a list that does not show it, or a 404 under a clock that is off: no evidence
	}
	h.clues = append(h.clues, c)
}

// settle defers what is dated in the future, and keeps the instant after which all is quiet.
func (h *history) settle(c *clue) {
	if h.violated && c.event && c.exists {
		c.updated += c.at % 3 * 10 * minute
	}
	if late := max(c.updated, c.at) - c.received - sigma; c.exists && late > 0 {
		c.received += late
		c.arrived += late
	}
	h.quiet = max(h.quiet, c.arrived)
	if c.event {
		h.quiet = max(h.quiet, c.at)
	}
}

// truth is an honest read at an instant of Clerk's.
func (h *history) truth(start int64) clue {
	return clue{version: h.last(), at: start + h.skew, received: start + h.skew, arrived: start, viewed: start, login: h.quiet%2 == 0}
}
