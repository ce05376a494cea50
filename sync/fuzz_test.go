package sync_test

import (
	"testing"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// FuzzEvidence interprets users of any shape: each is settled with a reason, or means one key and no deletion, the same each time.
func FuzzEvidence(f *testing.F) {
	for i, object := range [][]byte{
		user{ID: "user_1", Updated: past, Created: past, Name: "a"}.JSON(), stayer.user(past), []byte(`{}`), []byte(`null`), []byte(`[]`), []byte(`{"id":"user_1"`),
		[]byte(`{"id":"user_1","object":"user","updated_at":1e3,"public_metadata":{"a":"\u0000"}}`), []byte(`{"id":"user_1","object":"user","updated_at":-9223372036854775808}`),
		[]byte(`{"id":"user_1","object":"user","updated_at":1,"email_addresses":[{"id":null}],"phone_numbers":{},"banned":"yes"}`),
	} {
		f.Add(object, past, i%2 == 0, true)
	}
	f.Fuzz(func(t *testing.T, object []byte, at int64, event, private bool) {
		if len(object) > 1<<16 {
			return
		}
		e := clerksync.Evidence{Kind: clerksync.Users, Object: object, At: at, Source: clerksync.Webhook}
		if !event {
			e.Source = clerksync.Reconcile
			e = clerksync.Witness(e, margin, false)
		}
		cfg, now := clerksync.Config{PrivateMetadata: private}, time.UnixMilli(past+hour)
		m := clerksync.Interpret(cfg, e, now)
		if again := clerksync.Interpret(cfg, e, now); again.Key != m.Key || again.Settled != m.Settled || again.Result.Outcome != m.Result.Outcome {
			t.Fatalf("%+v at first and then %+v", m, again)
		}
		if m.Settled {
			if m.Result.Outcome == "" || m.Result.Outcome == clerksync.Quarantined && m.Result.Reason == "" {
				t.Errorf("settled without a word: %+v", m.Result)
			}
			return
		}
		if m.ID == "" || len(m.Key.Hash) != 33 || m.Dead != clerksync.Never || m.Key.Alive < m.Key.Updated {
			t.Errorf("%+v", m)
		}
		if s := clerksync.Unknown.Live(m.Key, object); m.Key.Alive > clerksync.Never && !s.Visible() {
			t.Errorf("%+v is not visible", s)
		}
	})
}
