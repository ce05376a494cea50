package main

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/admin"
	"github.com/clerksync/clerksync/internal/lease"
)

const (
	replicasKey  = "replicas"       // of the state table
	presenceTime = 10 * time.Second // between two times that a replica is heard of
	absenceTime  = 3 * presenceTime // after which it is no longer counted
)

// presence tells the other replicas, and people, that this one is there. Nothing depends on it: two that write at once may lose one
// another's word, which the next time mends.
type presence struct {
	count atomic.Int64 // replicas that were heard of, this one among them
}

// beat is when a replica was heard of, by its own clock.
type beat struct {
	At int64 `json:"at"` // in Unix milliseconds
}

// run makes this replica heard of until the context ends, and then no longer counted.
func (p *presence) run(ctx context.Context, mirror *clerksync.Mirror) error {
	_ = p.tell(ctx, mirror, true) // an error is that the database does not answer, which others tell
	every(ctx, presenceTime, func() { _ = p.tell(ctx, mirror, true) })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = p.tell(ctx, mirror, false)
	return nil
}

// tell writes that this replica is there or that it goes.
func (p *presence) tell(ctx context.Context, mirror *clerksync.Mirror, here bool) error {
	heard, err := readBeats(ctx, mirror)
	if err != nil {
		return err
	}
	delete(heard, lease.Self())
	if here {
		heard[lease.Self()] = beat{At: time.Now().UnixMilli()}
	}
	p.count.Store(int64(len(heard)))
	return mirror.WriteState(ctx, replicasKey, heard)
}

// readBeats reads which replicas were heard of lately.
func readBeats(ctx context.Context, mirror *clerksync.Mirror) (map[string]beat, error) {
	heard := map[string]beat{}
	if _, err := mirror.ReadState(ctx, replicasKey, &heard); err != nil {
		return nil, err
	}
	for name, b := range heard {
		if time.Since(time.UnixMilli(b.At)).Abs() > absenceTime {
			delete(heard, name)
		}
	}
	return heard, nil
}

// readReplicas lists the replicas by their names, one of which may be the leader's.
func readReplicas(ctx context.Context, mirror *clerksync.Mirror, leader string) (all []admin.Replica, err error) {
	heard, err := readBeats(ctx, mirror)
	for name, b := range heard {
		all = append(all, admin.Replica{Name: name, SeenAt: time.UnixMilli(b.At).UTC(), Leads: name == leader})
	}
	slices.SortFunc(all, func(a, b admin.Replica) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}
