package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

func sqlite(t *testing.T) *sqlx.DB { return pgtest.SQLite(t) }

// once delivers everything to a relay and returns what was sent.
func once(t *testing.T, m *clerksync.Mirror, r feed.Relay) (sent []feed.Message) {
	t.Helper()
	r.Receiver = feed.ReceiverFunc(func(_ context.Context, all ...feed.Message) error { sent = append(sent, all...); return nil })
	f, err := feed.New(feed.Config{Mirror: m, Relays: []feed.Relay{r}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	return sent
}

// TestCloudEvent holds the envelope, which other programs read.
func TestCloudEvent(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		at := time.Now().UTC().Truncate(time.Millisecond)
		apply(t, m, user("user_1", at))
		sent := once(t, m, feed.Relay{Name: "a", Initial: true})
		if len(sent) != 1 {
			t.Fatalf("%d messages, want 1", len(sent))
		}
		want := fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"ins_2test","type":"com.clerk.user.created","subject":"user_1","time":%q,`+
			`"datacontenttype":"application/json","data":{"resource":"users","id":"user_1","op":"created","version":1,"initial":false,"source":"webhook"}}`,
			at.Format(time.RFC3339Nano))
		if diff := cmp.Diff(want, string(sent[0].Event)); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
		if again := once(t, m, feed.Relay{Name: "b", Initial: true}); again[0].ID != sent[0].ID || !strings.HasSuffix(again[0].ID, "-1") {
			t.Errorf("the message's id is %q and then %q, want the same one", sent[0].ID, again[0].ID)
		}
	})
}

// TestData sends objects as they are when they are sent: newer than the change, and not at all once they, or what they belong to, are deleted.
// A membership's tells by their ids what it is a membership in, and whose, and nothing else of them.
func TestData(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := open(t, db)
		at := time.Now()
		member := func(id, user string) clerksync.Evidence {
			return told(clerksync.OrganizationMemberships, at, fmt.Sprintf(`{"id":%q,"object":"organization_membership","role":"org:member","created_at":%d,`+
				`"updated_at":%[2]d,"organization":{"id":"org_1"},"public_user_data":{"user_id":%q,"identifier":"ada@example.com"}}`, id, at.UnixMilli(), user))
		}
		apply(t, m, user("user_1", at), user("user_2", at), member("orgmem_1", "user_1"), member("orgmem_2", "user_2"))
		apply(t, m, user("user_1", at.Add(time.Second)), gone("user_2", at.Add(10*time.Second)))
		got := map[string]string{}
		for _, message := range once(t, m, feed.Relay{Name: "a", Data: true, Batch: 3}) {
			var e event
			if err := json.Unmarshal(message.Event, &e); err != nil {
				t.Fatal(err)
			}
			var object struct {
				FirstName string `json:"first_name"`
				Role      string `json:"role"`
				In        struct {
					ID string `json:"id"`
				} `json:"organization"`
				Of struct {
					UserID string `json:"user_id"`
				} `json:"public_user_data"`
			}
			if len(e.Data.Object) > 0 {
				if err := json.Unmarshal(e.Data.Object, &object); err != nil {
					t.Fatal(err)
				}
			}
			if bytes.Contains(e.Data.Object, []byte("ada@")) {
				t.Errorf("the object of %s tells an address: %s", e.Subject, e.Data.Object)
			}
			got[e.Subject+" "+e.Data.Op] = strings.TrimSpace(object.FirstName + object.Role + " " + object.In.ID + " " + object.Of.UserID)
		}
		newest := fmt.Sprintf("Ada %d", at.Add(time.Second).UnixMilli())
		want := map[string]string{
			"user_1 created": newest, "user_1 updated": newest, "user_2 created": "", "user_2 deleted": "",
			"orgmem_1 created": "org:member org_1 user_1", "orgmem_2 created": "",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("objects (-want +got):\n%s", diff)
		}
	})
}
