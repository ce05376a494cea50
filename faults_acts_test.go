package clerksync_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/erasure"
	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/reconcile"
	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
	"github.com/clerksync/clerksync/webhook"
)

var acts = []act{
	{"webhook", tellEvents}, {"pass", compareAll}, {"login", signIn}, {"relay", relayChanges}, {"erase", eraseOne},
}

func nothing() {}

// event is a delivery that has to be made until it is answered 204.
type event struct {
	id, body string
	answered bool
}

// events are those of a user's life.
func (s *stage) events(user string) []*event {
	now := time.Now().UnixMilli()
	envelope := `{"object":"event","type":"user.%s","timestamp":%d,"instance_id":"` + s.clerk.InstanceID() + `","data":%s}`
	object := `{"id":"` + user + `","object":"user","created_at":%d,"updated_at":%d,"first_name":"%s","email_addresses":[]}`
	all := []*event{
		{body: fmt.Sprintf(envelope, "created", now-3000, fmt.Sprintf(object, now-3000, now-3000, "Ada"))},
		{body: fmt.Sprintf(envelope, "updated", now-2000, fmt.Sprintf(object, now-3000, now-2000, "Grace"))},
		{body: fmt.Sprintf(envelope, "deleted", now-1000, `{"id":"`+user+`","object":"user","deleted":true}`)},
	}
	for i, e := range all {
		e.id = fmt.Sprintf("msg_%s_%d", user, i)
	}
	return all
}

// deliver posts what is not answered yet. The error says that some have to come again.
func (s *stage) deliver(handler http.Handler, all []*event) (err error) {
	for _, e := range all {
		if e.answered {
			continue
		}
		r := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, "/", strings.NewReader(e.body))
		r.Header = s.clerk.Sign(e.id, time.Now(), []byte(e.body))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		switch e.answered = w.Code == http.StatusNoContent; {
		case w.Code == http.StatusServiceUnavailable:
			err = errors.New("answered 503")
		case !e.answered:
			s.t.Errorf("%s was answered %d, want 204 or 503", e.id, w.Code)
		case s.number(`SELECT count(*) FROM {events} WHERE id = $1`, e.id) != 1:
			s.t.Errorf("%s was answered 204, and is not there", e.id)
		}
	}
	return err
}

func tellEvents(s *stage) (do func() error, always, end func()) {
	handler := webhook.NewHandler(webhook.Config{Mirror: s.ill, Secrets: []string{s.clerk.WebhookSecret()}})
	user := fmt.Sprint("user_told_", s.round)
	all := s.events(user)
	always = func() { // the row, its changes and its events are written together
		rows := s.number(`SELECT coalesce(max(_version), 0) FROM {users} WHERE id = $1`, user)
		changes := s.number(`SELECT count(*) FROM {changes} WHERE object_id = $1`, user)
		events := s.number(`SELECT count(*) FROM {events} WHERE object_id = $1 AND outcome IN ('created', 'updated', 'deleted')`, user)
		if rows != changes || rows != events {
			s.t.Errorf("version %d, %d changes, %d events: want as many of each", rows, changes, events)
		}
	}
	end = func() { // what comes after the deletion brings nothing back, so the name depends on what came when
		if n := s.number(`SELECT count(*) FROM {users} WHERE id = $1 AND deleted_at IS NOT NULL`, user); n != 1 {
			s.t.Errorf("%s is not hidden", user)
		}
	}
	return func() error { return s.deliver(handler, all) }, always, end
}

// wantNobodyLost fails if somebody is hidden whom Clerk has.
func (s *stage) wantNobodyLost() {
	s.t.Helper()
	for id := range s.clerk.Users() {
		if s.number(`SELECT count(*) FROM {users} WHERE id = $1 AND deleted_at IS NOT NULL`, id) > 0 {
			s.t.Errorf("%s is hidden, and Clerk has him", id)
		}
	}
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// oldest returns the id of the user who has been there longest.
func (s *stage) oldest() string {
	for id := range s.clerk.Users() {
		return id
	}
	s.t.Fatal("nobody is left")
	return ""
}

func compareAll(s *stage) (do func() error, always, end func()) {
	_, err := s.clerk.CreateUser(clerktest.Fields{"first_name": fmt.Sprint("Ada ", s.round)})
	s.must(err)
	if s.round > 1 {
		s.must(s.clerk.DeleteUser(s.oldest()))
	}
	s.must(s.clerk.UpdateUser(s.oldest(), clerktest.Fields{"first_name": fmt.Sprint("Grace ", s.round)}))
	do = func() error {
		_, err := reconcile.New(reconcile.Config{Mirror: s.ill, Clerk: s.api, MaxDeletePercent: 100}).RunOnce(s.t.Context())
		if errors.Is(err, reconcile.ErrGuard) || errors.Is(err, clerksync.ErrWrongInstance) || errors.Is(err, reconcile.ErrIncomplete) {
			s.t.Errorf("the pass ended with %v, which is not true", err)
		}
		return err
	}
	return do, s.wantNobodyLost, func() { s.wantEqual("after the pass", comparedKinds()...) }
}

// comparedKinds are those of the listed kinds that the stage's mirrors keep.
func comparedKinds() []resource {
	return slices.DeleteFunc(slices.Clone(listedResources), func(r resource) bool { return !slices.Contains(faultyKinds, r.kind) })
}

func signIn(s *stage) (do func() error, always, end func()) {
	if s.round == 1 {
		s.crowd(crowdSize)
	}
	lives, err := s.clerk.CreateUser(clerktest.Fields{"first_name": "Ada"})
	s.must(err)
	gone, err := s.clerk.CreateUser(clerktest.Fields{"first_name": "Bob"})
	s.must(err)
	for _, id := range []string{lives, gone} {
		s.tell(id, s.clerk.User(id), time.Now().Add(-time.Hour))
	}
	s.must(s.clerk.UpdateUser(lives, clerktest.Fields{"first_name": "Grace"}))
	s.must(s.clerk.DeleteUser(gone))
	logins, err := upsert.New(upsert.Config{Mirror: s.ill, Clerk: s.api, MaxAge: time.Nanosecond, MaxDeletes: 1 << 30})
	s.must(err)
	var here, there error
	do = func() error {
		var user clerksync.User
		if user, here = logins.UpsertOnLogin(s.t.Context(), lives); here == nil && (user.FirstName == nil || *user.FirstName != "Grace") {
			s.t.Errorf("the login returned %+v, want Grace", user)
		}
		if here != nil && (!errors.Is(here, upsert.ErrUnavailable) || errors.Is(here, upsert.ErrDeleted) || errors.Is(here, upsert.ErrNotFound)) {
			s.t.Errorf("the login of somebody whom Clerk has ended with %v", here)
		}
		if _, there = logins.UpsertOnLogin(s.t.Context(), gone); there == nil || errors.Is(there, upsert.ErrNotFound) {
			s.t.Errorf("the login of somebody whom Clerk deleted ended with %v", there)
		}
		if errors.Is(there, upsert.ErrDeleted) {
			there = nil
		}
		return errors.Join(here, there)
	}
	end = func() {
		logins.Close()
		if n := s.number(`SELECT count(*) FROM {users} WHERE id = $1 AND deleted_at IS NULL AND first_name = 'Grace'`, lives); n != 1 {
			s.t.Error("the login did not leave the user as Clerk has him")
		}
		if n := s.number(`SELECT count(*) FROM {users} WHERE id = $1 AND deleted_at IS NOT NULL`, gone); n != 1 {
			s.t.Error("the login did not hide the user whom Clerk deleted")
		}
	}
	return do, s.wantNobodyLost, end
}

// crowd tells of so many users that the guard lets a twentieth of them be deleted.
func (s *stage) crowd(n int) {
	s.t.Helper()
	var evidence []clerksync.Evidence
	for i := range n {
		evidence = append(evidence, clerksync.Evidence{Kind: clerksync.Users, At: 2, Source: clerksync.Webhook,
			Object: fmt.Appendf(nil, `{"id":"user_crowd_%d","object":"user","created_at":1,"updated_at":2,"email_addresses":[]}`, i)})
	}
	_, err := s.mirror.Apply(s.t.Context(), evidence...)
	s.must(err)
}

// tell applies an event about a user; without an object, that of his deletion.
func (s *stage) tell(id string, object []byte, at time.Time) {
	s.t.Helper()
	_, err := s.mirror.Apply(s.t.Context(), clerksync.Evidence{
		Kind: clerksync.Users, ID: id, Object: object, At: at.UnixMilli(), Source: clerksync.Webhook,
		Event: &clerksync.Event{ID: fmt.Sprintf("msg_%s_%d", id, at.UnixNano()), Type: "told", ObjectID: id, InstanceID: s.clerk.InstanceID()},
	})
	s.must(err)
}

func relayChanges(s *stage) (do func() error, always, end func()) {
	s.must(s.deliver(webhook.NewHandler(webhook.Config{Mirror: s.mirror, Secrets: []string{s.clerk.WebhookSecret()}}), s.events(fmt.Sprint("user_relayed_", s.round))))
	var got []int64
	name := "relay"
	begun := s.number(`SELECT coalesce(max(seq), 0) FROM {relays} WHERE name = $1`, name)
	relays, err := feed.New(feed.Config{Mirror: s.ill, Relays: []feed.Relay{{Name: name, Batch: 2, Data: true, Initial: true,
		Receiver: feed.ReceiverFunc(func(_ context.Context, messages ...feed.Message) error {
			for _, m := range messages {
				got = append(got, m.Change.Seq)
			}
			return nil
		})}}})
	s.must(err)
	end = func() {
		var want, first []int64
		s.must(s.db.Select(&want, s.mirror.SQL(`SELECT seq FROM {changes} WHERE seq > $1 ORDER BY seq`), begun))
		for _, seq := range got {
			if !slices.Contains(first, seq) {
				first = append(first, seq)
			}
		}
		if !slices.Equal(first, want) {
			s.t.Errorf("the receiver got %v, want %v, whatever comes twice", got, want)
		}
		s.must(relays.RunOnce(s.t.Context())) // a position that could not be written follows
		if seq := s.number(`SELECT seq FROM {relays} WHERE name = $1`, name); int64(seq) != want[len(want)-1] {
			s.t.Errorf("the relay's position is %d, want %d", seq, want[len(want)-1])
		}
	}
	return func() error { return relays.RunOnce(s.t.Context()) }, nothing, end
}

func eraseOne(s *stage) (do func() error, always, end func()) {
	id, err := s.clerk.CreateUser(clerktest.Fields{"first_name": fmt.Sprint("Forgotten ", s.round), "email_address": []string{fmt.Sprintf("f%d@example.com", s.round)}})
	s.must(err)
	s.tell(id, s.clerk.User(id), time.Now().Add(-2*time.Hour))
	s.must(s.clerk.DeleteUser(id))
	s.tell(id, nil, time.Now())
	eraser := erasure.New(erasure.Config{Mirror: s.ill, Clerk: s.api, After: -1})
	done := func() bool {
		return s.number(`SELECT count(*) FROM {users} WHERE id = $1 AND erased_at IS NOT NULL`, id) == 1
	}
	always = func() {
		full := s.number(`SELECT count(*) FROM {users} WHERE id = $1 AND first_name IS NOT NULL AND email IS NOT NULL AND data IS NOT NULL`, id) == 1
		empty := s.number(`SELECT count(*) FROM {users} WHERE id = $1 AND first_name IS NULL AND email IS NULL AND data IS NULL`, id) == 1
		told := s.number(`SELECT count(*) FROM {changes} WHERE object_id = $1 AND op = 'erased'`, id)
		audited := s.number(`SELECT count(*) FROM {audit} WHERE object_id = $1 AND action = 'erased'`, id)
		if is := done(); is == full || is != empty || is != (told == 1) || is != (audited == 1) {
			s.t.Errorf("erased %t, full %t, empty %t, told %d times, audited %d times", is, full, empty, told, audited)
		}
	}
	end = func() {
		if !done() {
			s.t.Error("the user is not erased")
		}
	}
	do = func() error {
		report, err := eraser.RunOnce(s.t.Context())
		if err == nil && report.Waiting > 0 {
			err = errors.New("the erasure waits")
		}
		return err
	}
	return do, always, end
}
