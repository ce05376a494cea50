package reconcile

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	clerksync "github.com/clerksync/clerksync/sync"
)

// What was noted of a scan may be written again when another kind has been read, although the walk has gone on since and what it saw
// then was never applied: the note must not move.
func TestNotedScanStays(t *testing.T) {
	l := &leg{kind: clerksync.Users, pass: &pass{order: Pass{DryRun: true}, progress: &progress{Scans: map[clerksync.Kind]*scan{}}}}
	walk := &scan{Counted: 3, At: start(clerksync.Users), Ledger: newLedger()}
	walk.Ledger.Suspects["user_gone"] = true
	want := walk.clone()
	if err := l.saveScan(t.Context(), walk); err != nil {
		t.Fatal(err)
	}
	resumed, err := l.openScan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*scan{walk, resumed} {
		sightings := []clerksync.Sighting{{ID: "user_1", Created: 5}, {ID: "user_gone", Created: 6}}
		s.Ledger.note(sightings)
		s.Ledger.row(clerksync.Row{ID: "user_2"}, maxSuspects)
		s.Ledger.close(5)
		s.At = s.At.after(sightings)
	}
	if diff := gocmp.Diff(want, l.progress.Scans[clerksync.Users]); diff != "" {
		t.Errorf("the note moved with the walk (-want +got):\n%s", diff)
	}
	if gocmp.Equal(want, walk) {
		t.Error("the walk did not move")
	}
}
