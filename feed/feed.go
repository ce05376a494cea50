package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/crash"
	"github.com/clerksync/clerksync/internal/lease"
)

// Receiver is where a relay delivers.
type Receiver interface {
	// Send delivers messages in their order. An error means that they will be sent again, so nil must mean that all are where they
	// cannot get lost. An error may be a *backoff.RetryAfterError to say when. It must return when ctx ends: until then nothing is
	// sent to this receiver, and [Feed.Run] does not return.
	Send(ctx context.Context, messages ...Message) error
}

// Serial is a [Receiver] that passes messages on one after the other, as those of this module do but for [NewNotify]'s. Send is given
// one at a time, whatever [Relay.Batch] says: so each has all of the time, and none comes again because a later one was refused.
type Serial interface {
	Receiver
	Serial() // does nothing
}

// ReceiverFunc is a function as a [Receiver], for programs that want to be called after a commit.
type ReceiverFunc func(ctx context.Context, messages ...Message) error

// Send calls the function.
func (f ReceiverFunc) Send(ctx context.Context, messages ...Message) error {
	return f(ctx, messages...)
}

// Relay is one receiver, and what it wants.
type Relay struct {
	// Name tells relays apart: the position is kept under it. It is shown to operators and must tell no secret. Up to 100 letters,
	// digits and -._~:/@ are allowed. A name that is not known begins with the oldest change that is kept.
	Name string

	Receiver Receiver

	// Batch is how many messages Send is given at most, with 15 seconds for all of them. Zero means 1, and so does any number for a
	// [Serial] receiver.
	Batch int

	// Data adds to each message the object as the mirror has it when the message is sent. False sends ids alone.
	Data bool

	// Initial sends also that an object was created which is older than the mirror. False leaves those out, of which a first pass
	// makes one for each object.
	Initial bool
}

// batch is how many messages are sent at once.
func (r Relay) batch() int {
	if _, serial := r.Receiver.(Serial); serial {
		return 1
	}
	return max(r.Batch, 1)
}

// Config configures a [Feed]. Mirror is required.
type Config struct {
	Mirror *clerksync.Mirror
	Relays []Relay

	// Logger is told when a relay fails, when it is well again, when its receiver does not return although its time is over, when the
	// database does not tell what there is to deliver, and when it goes back with its database. Nil means nobody.
	Logger *slog.Logger

	// Observe, if not nil, is called after every delivery that was tried, by several goroutines at once.
	Observe func(Delivery)

	firstPause, lastPause time.Duration // between tries
	late                  time.Duration // until an operator is told of a receiver that does not return
}

// Delivery is one try to send messages.
type Delivery struct {
	Relay    string
	Messages int
	Err      error // nil if the receiver took them
}

// Feed runs relays. Its methods may be called by any number of goroutines at once.
type Feed struct {
	cfg Config
}

// How a relay waits.
const (
	pollTime    = 500 * time.Millisecond // for changes that another process made
	gatherTime  = 100 * time.Millisecond // between pages that are not full: under load, changes come together
	standbyTime = 2 * time.Second        // for a relay that another process runs
	saveTime    = time.Second            // between two writes of a position: how much comes twice after a crash
	sendTime    = 15 * time.Second       // for a receiver
	stopTime    = 5 * time.Second        // for a receiver that is at it when the relay has to stop
	onceTries   = 5                      // of RunOnce, until it leaves a receiver alone
)

var relayName = regexp.MustCompile(`^[A-Za-z0-9._~:/@-]{1,100}$`)

// New returns a feed. Its error is a mistake in the configuration.
func New(cfg Config) (*Feed, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("making relays: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Delivery) {}
	}
	if cfg.firstPause == 0 {
		cfg.firstPause, cfg.lastPause = 20*time.Millisecond, time.Minute
	}
	cfg.late = cmp.Or(cfg.late, sendTime+stopTime)
	return &Feed{cfg}, nil
}

// Run delivers changes as they are made, until the context ends; then it returns nil. A relay that another process runs is watched,
// and taken over within 20 seconds if that process dies. Failures are told by the logger and the observer, and tried again for ever:
// at once, and then less and less often, at most a minute and a half apart.
func (f *Feed) Run(ctx context.Context) error {
	var relays errgroup.Group
	for _, r := range f.cfg.Relays {
		relays.Go(crash.Contained(func() error { f.keep(ctx, r); return nil }))
	}
	return relays.Wait()
}

// RunOnce delivers what there is and returns. A receiver that fails five times in a row is left for the next time. The error tells
// which relays were not finished; one that another process runs is that one's affair and no error.
func (f *Feed) RunOnce(ctx context.Context) error {
	errs := make([]error, len(f.cfg.Relays))
	var relays errgroup.Group
	for i, r := range f.cfg.Relays {
		relays.Go(crash.Contained(func() error {
			err := f.lead(ctx, r, func(ctx context.Context, d *delivery) error { return d.drain(ctx) })
			if err != nil && !errors.Is(err, lease.ErrHeld) {
				errs[i] = fmt.Errorf("delivering changes to %s: %w", r.Name, err)
			}
			return nil
		}))
	}
	return errors.Join(append(errs, relays.Wait())...)
}

// keep runs a relay whenever no other process does, until the context ends.
func (f *Feed) keep(ctx context.Context, r Relay) {
	level := slog.LevelWarn
	for ctx.Err() == nil {
		err := f.lead(ctx, r, func(ctx context.Context, d *delivery) error {
			level = slog.LevelWarn
			return d.follow(ctx)
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, lease.ErrHeld) {
			f.cfg.Logger.Log(ctx, level, "a relay cannot work now", "relay", r.Name, "error", err)
			level = slog.LevelDebug // once is enough until it has worked again
		}
		select {
		case <-ctx.Done():
		case <-time.After(standbyTime):
		}
	}
}

// lead runs a relay under its lease.
func (f *Feed) lead(ctx context.Context, r Relay, work func(context.Context, *delivery) error) error {
	l, err := lease.Try(ctx, f.cfg.Mirror, "lease:relay:"+r.Name)
	if err != nil {
		return err
	}
	return l.Hold(ctx, func(ctx context.Context) (err error) {
		d := &delivery{Config: f.cfg, relay: r, lease: l, encoder: newEncoder(f.cfg.Mirror), woken: make(chan struct{}, 1), pause: f.cfg.pause()}
		if d.pos, err = claim(ctx, f.cfg.Mirror, r.Name, l.Term()); err != nil {
			return err
		}
		return work(ctx, d)
	})
}

func (c Config) check() error {
	if c.Mirror == nil {
		return errors.New("Config.Mirror is missing: open it with clerksync.Open")
	}
	names := map[string]bool{}
	for _, r := range c.Relays {
		switch {
		case !relayName.MatchString(r.Name):
			return fmt.Errorf("%q is no name: use up to 100 letters, digits and -._~:/@", r.Name)
		case names[r.Name]:
			return fmt.Errorf("there are two of the name %s", r.Name)
		case r.Receiver == nil:
			return fmt.Errorf("%s has no Receiver", r.Name)
		}
		names[r.Name] = true
		if hooks, ok := r.Receiver.(Hooks); ok {
			if err := hooks.check(c.Mirror); err != nil {
				return fmt.Errorf("%s has %w", r.Name, err)
			}
		}
	}
	return nil
}

func (c Config) pause() *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: c.firstPause, RandomizationFactor: 0.5, Multiplier: 1.5, MaxInterval: c.lastPause}
}
