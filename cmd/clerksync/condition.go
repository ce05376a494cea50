package main

import (
	"context"
	"fmt"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/internal/lease"
	"github.com/clerksync/clerksync/reconcile"
)

// readStatus asks each part of clerksync what it knows about the mirror's condition.
func readStatus(ctx context.Context, m *clerksync.Mirror) (admin.Status, error) {
	return readCondition(ctx, m, m.Populations)
}

// counting is [clerksync.Mirror.Populations], or what stands for it.
type counting func(context.Context) ([]clerksync.Population, error)

// uncounted is for those who need no counts, which take the longer the larger the mirror is.
func uncounted(context.Context) ([]clerksync.Population, error) { return nil, nil }

// statusOf returns [readStatus] for one mirror, with what only this process knows.
func (d *daemon) statusOf(m *clerksync.Mirror) func(context.Context) (admin.Status, error) {
	count := admin.Costly(m.Populations)
	return func(ctx context.Context) (admin.Status, error) {
		s, err := readCondition(ctx, m, count)
		if err == nil {
			d.listenFor(ctx, m, &s)
		}
		return s, err
	}
}

func readCondition(ctx context.Context, m *clerksync.Mirror, count counting) (admin.Status, error) {
	s, err := gatherCondition(ctx, m, count)
	if err != nil {
		return admin.Status{}, fmt.Errorf("reading the status: %w", err)
	}
	return s, nil
}

func gatherCondition(ctx context.Context, m *clerksync.Mirror, count counting) (s admin.Status, err error) {
	s = admin.Status{Resources: map[string]admin.Population{}, Passes: map[string]admin.Pass{}, Relays: map[string]admin.Relay{}}
	if s.InstanceID, err = m.Pinned(ctx); err != nil {
		return s, err
	}
	populations, err := count(ctx)
	if err != nil {
		return s, err
	}
	for _, p := range populations {
		s.Order = append(s.Order, string(p.Kind))
		s.Resources[string(p.Kind)] = admin.Population{
			Visible: p.Visible, Hidden: p.Hidden, DeletionsTold: p.Told, DeletionsAllowed: p.Allowed,
		}
	}
	intake, err := m.Intake(ctx)
	if err != nil {
		return s, err
	}
	s.Events = describeIntake(intake)
	past, err := reconcile.History(ctx, m, 1)
	if err != nil {
		return s, err
	}
	for _, p := range past {
		notePass(s.Passes, p)
	}
	if s.Progress, err = readProgress(ctx, m); err != nil {
		return s, err
	}
	leader, err := lease.Look(ctx, m, leaderKey)
	if err != nil {
		return s, err
	}
	s.Term = leader.Term
	if leader.Holder != "" {
		s.Leader = &admin.Leader{Replica: leader.Holder, Term: leader.Term}
	}
	if s.Replicas, err = readReplicas(ctx, m, leader.Holder); err != nil {
		return s, err
	}
	relays, err := feed.Positions(ctx, m)
	if err != nil {
		return s, err
	}
	for _, p := range relays {
		s.Relays[p.Relay] = admin.Relay{Seq: p.Seq, OldestSeconds: late(p).Seconds()}
	}
	since, heard, err := readSilence(ctx, m)
	if err != nil {
		return s, err
	}
	if !since.IsZero() {
		silent := !heard
		s.WebhooksSilent, s.SilentSince = &silent, since
	}
	if skew, _ := m.Skew(); skew != 0 {
		seconds := skew.Seconds()
		s.ClockSkewSeconds = &seconds
	}
	return s, nil
}

func describeIntake(in clerksync.Intake) admin.Events {
	e := admin.Events{Quarantined: in.Quarantined, Held: in.Held, Deferred: in.Deferred, Foreign: in.Foreign}
	if in.Last != nil {
		e.LastAt, e.LastType = &in.Last.ReceivedAt, in.Last.Type
		if in.Last.OccurredAt != nil {
			lag := in.Last.ReceivedAt.Sub(*in.Last.OccurredAt).Seconds()
			e.LagSeconds = &lag
		}
	}
	return e
}

// readProgress reads how far the full pass is with each list that it has not read to its end.
func readProgress(ctx context.Context, m *clerksync.Mirror) (all []admin.Progress, err error) {
	walks, err := reconcile.Walks(ctx, m)
	for _, w := range walks {
		if !w.Done {
			all = append(all, admin.Progress{Kind: string(w.Kind), Seen: w.Seen, Total: w.Total, StartedAt: w.Started, AsOf: w.At})
		}
	}
	return all, err
}

// driftOf is what a pass found to differ, less what a backfill adds.
func driftOf(past reconcile.Past) int64 {
	if past.Fills {
		return 0
	}
	return past.Drift()
}

// notePass adds a pass to the last ones. The last of a kind comes first, the last complete one of it may follow.
func notePass(last map[string]admin.Pass, past reconcile.Past) {
	kind := string(past.Kind)
	p, seen := last[kind]
	if !seen {
		p = admin.Pass{StartedAt: past.StartedAt, Complete: past.Complete, Plan: past.Plan, Drift: driftOf(past), Error: past.Error}
		if !past.FinishedAt.IsZero() {
			p.FinishedAt = &past.FinishedAt
		}
	}
	if past.Complete && p.LastCompleteAt == nil {
		p.LastCompleteAt = &past.StartedAt
	}
	last[kind] = p
}
