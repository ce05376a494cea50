package sync_test

import (
	"testing"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/pgtest"
)

// TestEvidenceIsNotTouched applies evidence whose id is read from its object: callers may share a slice, so it must stay as it is.
func TestEvidenceIsNotTouched(t *testing.T) {
	t.Parallel()
	m, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	shared := []clerksync.Evidence{{
		Kind: clerksync.Users, At: time.Now().UnixMilli(), Source: clerksync.Webhook,
		Object: []byte(`{"object":"user","id":"user_1","created_at":1700000000000,"updated_at":1700000000000}`),
		Event:  &clerksync.Event{ID: "msg_1", Type: "user.created", InstanceID: "ins_a"},
	}}
	if results, err := m.Apply(t.Context(), shared...); err != nil || results[0].Outcome != clerksync.Created {
		t.Fatalf("Apply = %v, %v", results, err)
	}
	if shared[0].ID != "" {
		t.Errorf("Apply wrote the id %q into its caller's evidence", shared[0].ID)
	}
}
