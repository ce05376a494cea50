package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/crash"
)

// errPinned means that the instance was pinned after a request was prepared without a pin.
var errPinned = errors.New("the instance has been pinned meanwhile")

// commitTimeout bounds one transaction. A caller may wait for one that is in his way and then commit the next himself, and Clerk's
// sender gives up after 15 s.
const commitTimeout = 6 * time.Second

// slowCommitTimeout is that of SQLite, which works in this process: what is slow there is this machine, and trying again later
// would be no faster.
const slowCommitTimeout = 30 * time.Second

func (m *Mirror) commitTimeout() time.Duration {
	if m.dialect.postgres {
		return commitTimeout
	}
	return slowCommitTimeout
}

// commitAll commits a batch and sets every request's error. A batch that the database refuses for one piece's sake is split until
// that piece stands alone, so that it cannot fail its neighbours; alone, it is quarantined. What a hook refuses is known at once. A batch
// for which hooks have no time is split, too.
func (m *Mirror) commitAll(ctx context.Context, batch []*request) {
	err := m.commitPastHooks(ctx, batch)
	if violated(err) {
		agreed, renumberErr := m.renumber(ctx, func(k *kind) []string { return unsettled(batch, k) })
		switch {
		case exceeded(renumberErr): // whose fault it was is not known
			err = renumberErr
		case agreed || len(batch) == 1: // another process may have made them agree
			err = m.tryCommit(ctx, batch)
		}
	}
	if m.dialect.postgres && len(batch) > 1 && exceeded(err) {
		if free, locked := m.freeOf(ctx, batch); len(free) > 0 && len(locked) > 0 {
			for _, r := range locked {
				r.err = unavailable(err)
			}
			m.commitAll(ctx, free)
			return
		}
	}
	switch poisoned, crowded := diagnose(err) == poison, errors.Is(err, errCrowded); {
	case (poisoned || crowded) && len(batch) > 1:
		m.commitAll(ctx, batch[:len(batch)/2])
		m.commitAll(ctx, batch[len(batch)/2:])
	case crowded:
		parts := batch[0].apart()
		m.commitParts(ctx, batch[0], parts, min(m.mostCalls(), (len(parts)+1)/2))
	case poisoned:
		m.commitApart(ctx, batch[0], err)
	default:
		if !errors.Is(err, errPinned) {
			err = unavailable(err)
		}
		for _, r := range batch {
			if r.err = nil; !r.idle() {
				r.err = err
			}
		}
	}
}

// commitPastHooks commits a batch less what its hooks refuse. Its error is errCrowded where they are to be called in several transactions.
func (m *Mirror) commitPastHooks(ctx context.Context, batch []*request) error {
	if m.crowds(batch) {
		return errCrowded
	}
	err := m.tryCommit(ctx, batch)
	tooLate := 0
	for failed := (hookFailures)(nil); errors.As(err, &failed); failed = nil {
		var l late
		if errors.As(err, &l) {
			if l.crowded && divisible(batch) {
				return errCrowded
			}
			if tooLate++; tooLate > 1 { // a third time would be more than callers wait
				failed = failed.with("could not be called: others took the time", l.rest...)
			}
		}
		failed.settle(batch)
		err = m.tryCommit(ctx, batch)
	}
	return err
}

// commitApart commits the events and reads of one refused request each by itself, and quarantines what is refused alone.
func (m *Mirror) commitApart(ctx context.Context, r *request, refusal error) {
	parts := r.apart()
	if len(parts) > 1 {
		m.commitParts(ctx, r, parts, 1)
		return
	}
	r.err = nil
	r.quarantine(refusal)
	if err := m.tryCommit(ctx, []*request{r}); err != nil {
		r.err = unavailable(err)
	}
}

// commitParts commits so many parts of a request at a time.
func (m *Mirror) commitParts(ctx context.Context, r *request, parts [][]*piece, size int) {
	r.err = nil
	for some := range slices.Chunk(parts, size) {
		part := m.newRequest(slices.Concat(some...), r.pinned)
		m.commitAll(ctx, []*request{part})
		if part.err != nil {
			r.err = part.err
			return
		}
	}
}

// apart splits what is left of a request into its pieces, but for those of one event: its row has one outcome.
func (r *request) apart() (parts [][]*piece) {
	of := map[*Event]int{}
	for _, p := range r.pieces {
		i, begun := of[p.Event]
		switch {
		case p.quiet():
		case begun && p.Event != nil:
			parts[i] = append(parts[i], p)
		default:
			of[p.Event] = len(parts)
			parts = append(parts, []*piece{p})
		}
	}
	return parts
}

func (r *request) quarantine(refusal error) {
	reason := describeRefusal(refusal)
	for _, p := range r.pieces {
		if p.quiet() {
			continue
		}
		p.settle(Result{Outcome: Quarantined, Reason: reason})
		if p.Event != nil && violated(refusal) { // what stands in its way may go, such as the old holder of an e-mail address
			p.due = p.nextTry(time.Now())
		}
	}
}

// describeRefusal says why a piece cannot be merged without what the database said: that can quote rows.
func describeRefusal(refusal error) string {
	var panicked *crash.Error
	switch state := sqlState(refusal); {
	case errors.As(refusal, &panicked):
		return "merging it panicked at " + panicked.Line + ": please report this"
	case state != "":
		return "the database refused it with SQLSTATE " + state
	default:
		return "the database refused it"
	}
}

// tryCommit commits a batch, again and again while it only clashes with other transactions.
func (m *Mirror) tryCommit(ctx context.Context, batch []*request) error {
	ctx, cancel := context.WithTimeout(ctx, m.commitTimeout())
	defer cancel()
	for {
		err := m.commitInTurn(ctx, batch)
		if err == nil || diagnose(err) != clash && !distrust(batch, err) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("giving up on clashing transactions: %w", err)
		}
	}
}

// commitInTurn takes a panic for an error: one event must not keep its neighbours from the mirror each time it is delivered again.
func (m *Mirror) commitInTurn(ctx context.Context, batch []*request) error {
	defer m.Turn()()
	var commits []Commit
	err := crash.Contain(func() (err error) {
		if err := m.noteKinds(ctx); err != nil {
			return err
		}
		if commits, err = m.takeShortcut(ctx, batch); err != nil {
			return err
		}
		begun := time.Now()
		var pieces []*piece
		for _, r := range batch {
			pieces = append(pieces, r.pieces...)
		}
		if pieces = slices.DeleteFunc(pieces, (*piece).quiet); len(pieces) == 0 {
			return nil
		}
		changes, err := m.commit(ctx, batch, pieces)
		if err == nil || len(changes) > 0 {
			commits = append(commits, Commit{Changes: changes, Pieces: len(pieces), Duration: time.Since(begun), Unknown: err != nil})
		}
		return err
	})
	for _, c := range commits {
		m.tell(c)
	}
	return err
}

// commit writes what is left of a batch in one transaction: the objects of each kind by id, then what hooks write, then the events, then
// the changes and what of them is audited. It returns changes beside an error only where that is the answer to COMMIT.
func (m *Mirror) commit(ctx context.Context, batch []*request, pieces []*piece) (changes []Change, err error) {
	unpinned := slices.ContainsFunc(batch, func(r *request) bool { return r.pinned == "" })
	tx, err := m.begin(ctx, unpinned)
	if err != nil {
		return nil, err
	}
	defer func() { rollBack(tx, err) }()
	if err := m.checkPin(ctx, tx, unpinned); err != nil {
		return nil, err
	}
	var hooks []hookCall
	for _, k := range kinds {
		made, calls, err := m.mergeKind(ctx, tx, k, pieces)
		if err != nil {
			return nil, err
		}
		changes, hooks = append(changes, made...), append(hooks, calls...)
	}
	if err := m.callHooks(ctx, tx, hooks); err != nil {
		return nil, err
	}
	batch[0].handOn()
	events, err := m.eventRows(ctx, tx, pieces)
	if err != nil {
		return nil, err
	}
	if err := m.writeLog(ctx, tx, events, changes); err != nil {
		return nil, err
	}
	if err := m.auditCommit(ctx, tx, pieces, changes); err != nil {
		return nil, err
	}
	return changes, tx.Commit()
}

// checkPin makes sure that requests prepared without a pin are committed without one. Both this and pinning hold the lock of the
// feed, so the first event and the pin cannot miss each other.
func (m *Mirror) checkPin(ctx context.Context, tx *sqlx.Tx, unpinned bool) error {
	if !unpinned {
		return nil
	}
	if err := m.lockFeed(ctx, tx); err != nil {
		return err
	}
	var pin instance
	if _, err := m.readState(ctx, tx, "instance", &pin); err != nil {
		return err
	}
	if pin.ID != "" {
		m.notePin(pin.ID)
		return errPinned
	}
	return nil
}
