package sync

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/clerksync/clerksync/internal/crash"
)

// errUnstamped is a mistake in a program, not in its input.
var errUnstamped = errors.New("evidence from a read must come from a Reader, which checks whose key it reads with")

// errDry is another.
var errDry = errors.New("what a dry reader read can only be compared, since it pins nothing")

// Apply merges evidence into the mirror, and returns once it is committed, with one result per piece in their order. Evidence
// and the row of its event are committed in one transaction; many callers' evidence may share one.
//
// The error is [ErrUnavailable] where the database cannot answer: then nothing is known to be committed, and the caller should
// try again later. Evidence that cannot be merged is no error: it is kept in quarantine, and its result says so. A caller whose
// context ends while he waits gets the context's error, and one who commits for those that wait gets his answer when that is done, within
// seconds. Evidence may or may not have been committed then, or be committed yet: after an error the bytes of objects and events must stay
// as they are.
func (m *Mirror) Apply(ctx context.Context, evidence ...Evidence) ([]Result, error) {
	if len(evidence) == 0 {
		return nil, nil
	}
	if m.isHook(ctx) {
		return nil, fmt.Errorf("applying evidence: %w", errFromHook)
	}
	if slices.ContainsFunc(evidence, func(e Evidence) bool { return e.read != nil && e.read.dry }) {
		return nil, fmt.Errorf("applying evidence: %w", errDry)
	}
	for {
		r, err := m.prepare(ctx, evidence)
		if err != nil {
			return nil, fmt.Errorf("applying evidence: %w", err)
		}
		err = m.submit(ctx, r)
		if errors.Is(err, errPinned) {
			continue // another process has just pinned the instance: look again at whose events these are
		}
		if err != nil {
			return nil, fmt.Errorf("applying evidence: %w", err)
		}
		results := make([]Result, len(r.pieces))
		for i, p := range r.pieces {
			results[i] = p.result
		}
		return results, nil
	}
}

// prepare does for evidence what needs no transaction: it sorts out foreign events and reads that show nothing new, decodes the
// rest and works out what it says.
func (m *Mirror) prepare(ctx context.Context, evidence []Evidence) (*request, error) {
	pinned, err := m.Pinned(ctx)
	if err != nil {
		return nil, err
	}
	pieces := make([]*piece, len(evidence))
	for i := range evidence {
		own := evidence[i] // the caller's may be shared, and must stay as it is
		pieces[i] = &piece{Evidence: &own, key: bottom, dead: Never}
		if err := m.triage(ctx, pieces[i], pinned); err != nil {
			return nil, err
		}
	}
	if err := m.skipSame(ctx, pieces); err != nil {
		return nil, err
	}
	now := time.Now()
	if err := m.hold(ctx, pieces, now); err != nil {
		return nil, err
	}
	for _, p := range pieces {
		if p.final {
			continue
		}
		if err := crash.Contain(func() error { m.interpret(p, now); return nil }); err != nil {
			p.settle(Result{Outcome: Quarantined, Reason: describeRefusal(err)})
		}
	}
	if err := m.doubt(ctx, pieces, now); err != nil {
		return nil, err
	}
	return m.newRequest(pieces, pinned), nil
}

// triage settles pieces that never reach an object's row.
func (m *Mirror) triage(ctx context.Context, p *piece, pinned string) error {
	if p.Event != nil && foreign(pinned, p.Event.InstanceID) {
		p.settle(Result{Outcome: Ignored, Foreign: true})
		_ = m.countForeign(ctx, p.Event.InstanceID)
		return nil
	}
	if p.Event != nil && p.Event.Quarantine != "" {
		p.settle(Result{Outcome: Quarantined, Reason: p.Event.Quarantine})
		return nil
	}
	var known bool
	if p.kind, known = describe(p.Kind); !known && p.Kind != "" {
		return fmt.Errorf("there is no kind %q", p.Kind)
	}
	if !m.Mirrors(p.Kind) {
		p.settle(Result{Outcome: Ignored})
		return nil
	}
	if p.Source != Webhook && (p.read == nil || pinned == "" && !p.read.dry) {
		return errUnstamped
	}
	return nil
}

// farthest bounds how far ahead a deferred event is scheduled, whatever date it claims.
const farthest = 100 * 365 * 24 * time.Hour

// interpret decodes a piece and works out its key or its dead, as the table of the package's documentation says.
func (m *Mirror) interpret(p *piece, now time.Time) {
	if p.Object == nil {
		m.interpretGone(p, now)
		return
	}
	o, err := p.kind.decode(p.Object, m.keeping())
	if o.id != "" {
		p.ID = o.id
	}
	if err != nil {
		p.settle(Result{Outcome: Quarantined, Reason: err.Error()})
		return
	}
	if p.named != "" && o.column(p.kind.invited) == "" {
		o.set(p.kind.invited, appendText(nil, p.named))
	}
	p.object = o
	p.key = mergeKey{Alive: o.updated, Updated: o.updated, Seen: p.At, Hash: o.hash}
	if p.At == 0 {
		p.key.Seen = o.updated
	}
	if p.kind.final != nil && p.kind.final(o) {
		p.key.Seen = math.MaxInt64
	}
	if p.read != nil && !p.read.skewed {
		p.key.Alive = max(o.updated, p.At-p.read.margin)
	}
	latest := now.Add(ClockError).UnixMilli()
	if dated := max(o.updated, p.At); dated > latest {
		if m.cfg.EventPayloads == PayloadsNone {
			p.settle(Result{Outcome: Ignored, Conflict: true, Reason: "dated in the future, and no content is kept to apply it then"})
			return
		}
		p.due = now.Add(time.Duration(min(dated-latest, farthest.Milliseconds())) * time.Millisecond)
		p.settle(Result{Outcome: Deferred, Reason: "dated in the future"})
		return
	}
	if !p.fresh { // the callers do this side by side; whoever commits for them all has less to do
		r := row{make([][]byte, 0, len(p.kind.columns)+len(payloadColumns)), make([]byte, 0, len(p.Object)+usualDigest)}
		r.object(o)
		p.cells = r.cells
	}
}

// usualDigest is how long the cells of an object's row are that are written beside its data.
const usualDigest = 32

func (m *Mirror) interpretGone(p *piece, now time.Time) {
	received := now
	if p.Event != nil && !p.Event.ReceivedAt.IsZero() {
		received = p.Event.ReceivedAt // long ago, where the event has waited in quarantine
	}
	latest := received.Add(ClockError).UnixMilli()
	switch {
	case !validID(p.ID):
		p.settle(Result{Outcome: Quarantined, Reason: errNoID.Error()})
	case p.read != nil:
		p.dead = p.At - p.read.margin
	case p.At == 0 || p.At > latest:
		p.dead = latest
	default:
		p.dead = p.At + eventLead.Milliseconds()
	}
}
