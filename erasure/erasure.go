package erasure

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

var (
	// ErrLives means that Clerk has an object that was to be erased.
	ErrLives = errors.New("Clerk still has it")

	// ErrGone means that Clerk does not have an object whose deletion was to be undone. It stays hidden.
	ErrGone = errors.New("Clerk does not have it")

	// ErrUnknown means that the mirror knows nothing of an object.
	ErrUnknown = errors.New("the mirror does not know it")

	// ErrRecent means that Clerk's answer cannot decide yet, because the object lived or died within the read margin before it. Trying
	// again after the margin helps.
	ErrRecent = errors.New("this happened moments ago, and Clerk's answer could be older than that")

	// ErrRemains means that values which were erased can still be read somewhere in the mirror's schema.
	ErrRemains = errors.New("what was erased is left elsewhere")
)

// Config configures an [Eraser]. Mirror is required.
type Config struct {
	Mirror *clerksync.Mirror

	// Clerk is asked before anything is erased. Nil means that nobody can be asked.
	Clerk *clerksync.API

	// Policy says what is left of an erased object. Empty means clerksync.Anonymize.
	Policy clerksync.Policy

	// After is how long an object is hidden before it is erased. Zero means 24 hours, a negative value at once.
	After time.Duration

	// Logger gets ids, counts and reasons, never what was erased. Nil means none.
	Logger *slog.Logger

	wholeSearch int64
}

// defaultAfter is how long a deletion can be undone.
const defaultAfter = 24 * time.Hour

// Eraser erases. Its methods may be called by any number of goroutines, and processes, at once.
type Eraser struct {
	cfg    Config
	reader *clerksync.Reader // nil if nobody can be asked
}

// check makes sure of what nothing can be erased without, and of what would erase more or less than was meant.
func (c Config) check() error {
	if c.Mirror == nil {
		return errors.New("erasing: Config.Mirror is missing: open it with clerksync.Open")
	}
	if !slices.Contains([]clerksync.Policy{clerksync.Hide, clerksync.Anonymize, clerksync.Hard}, c.Policy) {
		return fmt.Errorf("erasing: there is no policy %q: it must be hide, anonymize or hard", c.Policy)
	}
	return nil
}

// New returns an eraser. It makes no request. A mistake in the configuration is the error of whatever the eraser is asked to do.
func New(cfg Config) *Eraser {
	cfg.Policy = cmp.Or(cfg.Policy, clerksync.Anonymize)
	cfg.After = max(cmp.Or(cfg.After, defaultAfter), 0)
	cfg.wholeSearch = cmp.Or(cfg.wholeSearch, wholeSearch)
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Eraser{cfg: cfg}
	if cfg.Clerk != nil {
		e.reader = clerksync.NewReader(cfg.Mirror, cfg.Clerk, clerksync.Resync)
	}
	return e
}

// Report is what a run did.
type Report struct {
	Objects    map[clerksync.Kind]int64 `json:"objects"`    // that were due and were erased
	Rows       map[clerksync.Kind]int64 `json:"rows"`       // that were emptied: theirs, and those of what belongs to them
	Events     int64                    `json:"events"`     // that lost their content
	Spared     int64                    `json:"spared"`     // objects that Clerk has after all
	Waiting    int64                    `json:"waiting"`    // objects about which Clerk could not tell, or of which a hook failed
	Tombstones int64                    `json:"tombstones"` // that were removed after 100 days
	Alike      int64                    `json:"alike"`      // values in rows of other objects, about which Clerk tells the same
}

// Total returns how many objects were erased.
func (r Report) Total() (n int64) {
	for _, some := range r.Objects {
		n += some
	}
	return n
}

func (r *Report) add(done clerksync.Erased) {
	for kind, n := range done.Rows {
		r.Rows[kind] += n
	}
	r.Events += done.Events
}
