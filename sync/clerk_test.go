package sync_test

import (
	"crypto/sha256"
	"fmt"
)

// The constants of the merge rule, in milliseconds.
const (
	sigma      = 60 * second // how far two honest clocks differ
	staleness  = 60 * second // how old what a read shows may be
	kappa      = 5 * second  // how far an event's timestamp lies before the deletion that it reports
	readMargin = sigma + staleness
)

// version is one object at Clerk, from one instant on. Its times are Clerk's.
type version struct {
	from    int64
	exists  bool
	updated int64
	content int // what counts as a change: an index of contents
	look    int // what does not, such as last_active_at
}

// contents are the hashes of what an object can be.
var contents = func() (c [24]string) {
	for i := range c {
		sum := sha256.Sum256([]byte{byte(i)})
		c[i] = "\x01" + string(sum[:])
	}
	return c
}()

// payloads are the objects' JSON, as far as the rule cares: the hash of what counts, and then what does not.
var payloads = func() (p [len(contents)][8][]byte) {
	for c := range p {
		for look := range p[c] {
			p[c][look] = fmt.Appendf(nil, "%s%d", contents[c], look)
		}
	}
	return p
}()

func (v version) payload() []byte { return payloads[v.content][v.look%8] }

// life is what can happen to an object at Clerk.
type life struct {
	restores  bool // it can come back after a deletion, with an updated_at of then or with the old one
	rollsBack bool // Clerk can put an old state back, silently: updated_at runs backwards
}

// clerk is one object's history at Clerk, oldest version first. It never exists before the first.
type clerk struct {
	versions []version
	fresh    int64 // when it was last restored under an updated_at of that instant; 0 if it never was
}

// seen returns the version that a read sees at an instant.
func (c *clerk) seen(at int64) version {
	for i := len(c.versions) - 1; i >= 0; i-- {
		if c.versions[i].from <= at {
			return c.versions[i]
		}
	}
	return version{}
}

func (c *clerk) last() version {
	if len(c.versions) == 0 {
		return version{}
	}
	return c.versions[len(c.versions)-1]
}

// steps are what passes between two moments: often nothing, and often what a constant of the rule says.
var steps = [...]int64{0, 0, 1, 15, 999, kappa - 1, kappa, kappa + 1, sigma, sigma + 1, readMargin - 1, readMargin, readMargin + 1, readMargin + kappa, hour, 24 * hour}

// live lets Clerk do something to the object, a moment later.
func (c *clerk) live(pick chance, l life) version {
	v := c.last()
	v.from = max(v.from, past) + steps[pick(len(steps))]
	v.look++
	switch {
	case l.rollsBack && len(c.versions) > 0 && pick(4) == 0:
		old := c.versions[pick(len(c.versions))]
		v.exists, v.updated, v.content = old.exists, old.updated, old.content
	case !v.exists && len(c.versions) == 0, !v.exists && l.restores && pick(2) == 0:
		if len(c.versions) > 0 && pick(2) == 0 { // restored as it was
			v.exists = true
			break
		}
		if len(c.versions) > 0 {
			c.fresh = v.from
		}
		v.exists, v.updated, v.content = true, v.from, len(c.versions)
	case !v.exists:
	case pick(4) == 0:
		v.exists = false
	default:
		if pick(4) > 0 {
			v.updated = v.from
		}
		switch pick(8) {
		case 0: // nothing that counts
		case 1: // what was there before
			v.content = pick(len(c.versions) + 1)
		default:
			v.content = len(c.versions)
		}
	}
	c.versions = append(c.versions, v)
	return v
}
