package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	svix "github.com/svix/svix-webhooks/go"
)

// TestDelivery makes what Clerk would send: signed JSON of the usual size, with later content in later events.
func TestDelivery(t *testing.T) {
	t.Parallel()
	signer, err := svix.NewWebhook(signingSecret)
	if err != nil {
		t.Fatal(err)
	}
	var last int64
	for n, metadata := range append(poisons, wholesome) {
		request, err := newDelivery(signer, "/hook", "test_", n, 3, metadata, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := signer.Verify(body, r.Header); err != nil {
			t.Error(err)
		}
		if size := len(body); size < 2300 || size > 2900 {
			t.Errorf("the event has %d bytes, not about 2.5 kB", size)
		}
		var e event
		var u user
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(e.Data, &u); err != nil {
			t.Fatal(err)
		}
		if address, verified := u.email(); u.ID != "user_2benchbenchbenchbench00000003" || address == nil || !*verified || e.InstanceID != instanceID {
			t.Errorf("the event tells %+v", u)
		}
		if string(u.UnsafeMetadata) != metadata || u.UpdatedAt <= last {
			t.Errorf("event %d is dated %d and holds %s", n, u.UpdatedAt, u.UnsafeMetadata)
		}
		last = u.UpdatedAt
	}
}
