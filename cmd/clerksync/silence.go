package main

import (
	"context"
	"fmt"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/reconcile"
)

const silenceKey = "silence" // of the state table

// silence is the alarm that webhooks do not arrive: it rings from when a pass found differences that no webhook had told, until an event
// comes from the instance that is mirrored. The database keeps it, or it would end with the process whose pass rang it, and no other
// replica would know of it.
type silence struct {
	Since int64 `json:"since"` // when that pass began, in Unix milliseconds: what came while it ran has come; 0 = the alarm is over
}

// noteSilence rings the alarm if a pass found such differences. What an operator approved he has been told of.
func noteSilence(ctx context.Context, m *clerksync.Mirror, r reconcile.Report) error {
	if r.DryRun || r.Kind == reconcile.Approved || r.Unannounced == nil || *r.Unannounced == 0 {
		return nil
	}
	return m.WriteState(ctx, silenceKey, silence{Since: r.StartedAt.UnixMilli()})
}

// readSilence returns since when the alarm has rung, or the zero time if it does not, and whether an event has come since.
func readSilence(ctx context.Context, m *clerksync.Mirror) (since time.Time, heard bool, err error) {
	var s silence
	if found, err := m.ReadState(ctx, silenceKey, &s); err != nil || !found || s.Since == 0 {
		return time.Time{}, false, err
	}
	since = time.UnixMilli(s.Since)
	err = m.DB().GetContext(ctx, &heard, m.SQL(`SELECT EXISTS (SELECT 1 FROM {events} WHERE received_at >= $1 AND type NOT IN ('read', $2))`),
		since.UTC().Format("2006-01-02T15:04:05.000Z"), doctorEvent)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("looking for events: %w", err)
	}
	return since, heard, nil
}

// endSilence ends the alarm that rang since then: the events that end it are not kept for ever. It leaves one alone that rang later.
func endSilence(ctx context.Context, m *clerksync.Mirror, since time.Time) error {
	var s silence
	found, err := m.ReadState(ctx, silenceKey, &s)
	if err != nil || !found || s.Since != since.UnixMilli() {
		return err
	}
	return m.WriteState(ctx, silenceKey, silence{})
}

// noteSilence rings the alarm of silent webhooks. A database that does not take it now is told of by others.
func (d *daemon) noteSilence(mirror *clerksync.Mirror, report reconcile.Report) {
	ctx, cancel := context.WithTimeout(context.Background(), pulseTime)
	defer cancel()
	if err := noteSilence(ctx, mirror, report); err != nil {
		d.log.Warn("the alarm of silent webhooks could not be rung", "error", err)
	}
}

// listenFor ends the alarm of silent webhooks where an event has come since, also one that was known before and so left no row, and where a
// team has given up webhooks, so that none will.
func (d *daemon) listenFor(ctx context.Context, m *clerksync.Mirror, s *admin.Status) {
	rings := s.WebhooksSilent != nil
	silent := rings && *s.WebhooksSilent && d.metrics.heard.Load() < s.SilentSince.UnixMilli() && len(d.signingSecrets) > 0
	if rings || d.secretKey.set() {
		s.WebhooksSilent = &silent
	}
	if rings && !silent {
		_ = endSilence(ctx, m, s.SilentSince) // a database that takes no writes has a status all the same, and the next look ends the alarm
	}
}
