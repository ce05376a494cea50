package clerktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/clerk/clerk-sdk-go/v2"
	"github.com/clerk/clerk-sdk-go/v2/session"
	"github.com/clerk/clerk-sdk-go/v2/user"
	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

// sdk returns the configuration of clerk-sdk-go for a server.
func sdk(t *testing.T, s *clerktest.Server) *clerk.ClientConfig {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &clerk.ClientConfig{BackendConfig: clerk.BackendConfig{
		HTTPClient: &http.Client{Transport: transport}, URL: new(s.APIURL()), Key: new(s.SecretKey())}}
}

// apiError asserts that err is an error of the API with this status and code.
func apiError(t *testing.T, err error, status int, code string) {
	t.Helper()
	var failure *clerk.APIErrorResponse
	if !errors.As(err, &failure) {
		t.Fatalf("got error %v, want an API error %d %s", err, status, code)
	}
	if len(failure.Errors) != 1 || failure.HTTPStatusCode != status || failure.Errors[0].Code != code {
		t.Errorf("got %v, want %d %s", failure, status, code)
	}
	if failure.Errors[0].Message == "" || failure.Errors[0].LongMessage == "" || failure.TraceID == "" {
		t.Errorf("%v lacks a message or the trace id", failure)
	}
}

func TestSDKWalksAllUsers(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{Users: 1234, Seed: 7})
	users := user.NewClient(sdk(t, s))
	ctx := context.Background()
	seen := map[string]bool{}
	var last int64
	for offset := int64(0); ; offset += 500 {
		page, err := users.List(ctx, &user.ListParams{ListParams: clerk.ListParams{Limit: new(int64(500)), Offset: &offset}, OrderBy: new("+created_at")})
		if err != nil {
			t.Fatal(err)
		}
		if page.TotalCount != 1234 {
			t.Fatalf("got a count of %d, want 1234", page.TotalCount)
		}
		for _, u := range page.Users {
			if u.CreatedAt < last {
				t.Fatalf("%s is out of order", u.ID)
			}
			last, seen[u.ID] = u.CreatedAt, true
		}
		if len(page.Users) < 500 {
			break
		}
	}
	if len(seen) != 1234 {
		t.Errorf("saw %d users, want 1234", len(seen))
	}
}

func TestSDKWrites(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{Users: 10})
	users := user.NewClient(sdk(t, s))
	ctx := context.Background()
	made, err := users.Create(ctx, &user.CreateParams{
		FirstName: new("Ada"), LastName: new("Lovelace"), ExternalID: new("ext_1"), Username: new("ada"), Password: new("correct horse"),
		EmailAddresses: &[]string{"Ada@Example.com", "ada2@example.com"}, PhoneNumbers: &[]string{"+888123456789"},
		PublicMetadata: new(json.RawMessage(`{"plan":"pro","nested":{"a":1,"b":2}}`)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(made.EmailAddresses) != 2 || made.EmailAddresses[0].EmailAddress != "ada@example.com" || *made.PrimaryEmailAddressID != made.EmailAddresses[0].ID {
		t.Errorf("got addresses %+v, want ada@example.com first and primary", made.EmailAddresses)
	}
	if *made.FirstName != "Ada" || !made.PasswordEnabled || *made.ExternalID != "ext_1" || made.CreatedAt == 0 {
		t.Errorf("got %+v", made)
	}

	changed, err := users.Update(ctx, made.ID, &user.UpdateParams{FirstName: new("Augusta"), PrimaryEmailAddressID: &made.EmailAddresses[1].ID, LastName: new("")})
	if err != nil {
		t.Fatal(err)
	}
	if *changed.FirstName != "Augusta" || changed.LastName != nil || *changed.PrimaryEmailAddressID != made.EmailAddresses[1].ID || changed.UpdatedAt <= made.UpdatedAt {
		t.Errorf("got %+v after the update", changed)
	}

	merged, err := users.UpdateMetadata(ctx, made.ID, &user.UpdateMetadataParams{PublicMetadata: new(json.RawMessage(`{"nested":{"a":null,"c":3}}`))})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"plan": "pro", "nested": map[string]any{"b": 2.0, "c": 3.0}}, decode(t, merged.PublicMetadata)); diff != "" {
		t.Errorf("merged metadata (-want +got):\n%s", diff)
	}
	replaced, err := users.Update(ctx, made.ID, &user.UpdateParams{PublicMetadata: new(json.RawMessage(`{"only":true}`))}) //nolint:staticcheck // deprecated, and what programs call
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"only": true}, decode(t, replaced.PublicMetadata)); diff != "" {
		t.Errorf("replaced metadata (-want +got):\n%s", diff)
	}

	for _, step := range []struct {
		name           string
		do             func(context.Context, string) (*clerk.User, error)
		banned, locked bool
	}{
		{"ban", users.Ban, true, false}, {"lock", users.Lock, true, true},
		{"unban", users.Unban, false, true}, {"unlock", users.Unlock, false, false}, {"get", users.Get, false, false},
	} {
		u, err := step.do(ctx, made.ID)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if u.Banned != step.banned || u.Locked != step.locked {
			t.Errorf("%s: got banned %t, locked %t", step.name, u.Banned, u.Locked)
		}
	}

	gone, err := users.Delete(ctx, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if gone.ID != made.ID || gone.Object != "user" || !gone.Deleted {
		t.Errorf("got %+v from the deletion", gone)
	}
	_, err = users.Get(ctx, made.ID)
	apiError(t, err, http.StatusNotFound, "resource_not_found")
	if n, err := users.Count(ctx, &user.ListParams{}); err != nil || n.TotalCount != 10 {
		t.Errorf("got count %v and error %v, want 10", n, err)
	}
}

func decode(t *testing.T, raw []byte) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return out
}

func TestSDKErrors(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{Users: 3})
	ctx := context.Background()
	users := user.NewClient(sdk(t, s))
	if _, err := users.Create(ctx, &user.CreateParams{EmailAddresses: &[]string{"taken@example.com"}, Username: new("taken")}); err != nil {
		t.Fatal(err)
	}
	wrong := sdk(t, s)
	wrong.Key = new("sk_test_of_another_instance")
	_, err := user.NewClient(wrong).Get(ctx, "user_1")
	apiError(t, err, http.StatusUnauthorized, "clerk_key_invalid")

	for name, try := range map[string]struct {
		do     func() error
		status int
		code   string
	}{
		"unknown user": {func() error { _, err := users.Update(ctx, "user_none", &user.UpdateParams{}); return err }, 404, "resource_not_found"},
		"taken address": {func() error {
			_, err := users.Create(ctx, &user.CreateParams{EmailAddresses: &[]string{"TAKEN@example.com"}})
			return err
		}, 422, "form_identifier_exists"},
		"taken username": {func() error { _, err := users.Create(ctx, &user.CreateParams{Username: new("taken")}); return err }, 422, "form_identifier_exists"},
		"bad address": {func() error {
			_, err := users.Create(ctx, &user.CreateParams{EmailAddresses: &[]string{"no address"}})
			return err
		}, 422, "form_param_format_invalid"},
		"metadata that is no object": {func() error {
			_, err := users.Create(ctx, &user.CreateParams{PublicMetadata: new(json.RawMessage(`[1]`))})
			return err
		}, 422, "form_param_value_invalid"},
		"limit too large": {func() error {
			_, err := users.List(ctx, &user.ListParams{ListParams: clerk.ListParams{Limit: new(int64(501))}})
			return err
		}, 422, "form_param_value_invalid"},
		"unknown order":   {func() error { _, err := users.List(ctx, &user.ListParams{OrderBy: new("-age")}); return err }, 422, "form_param_value_invalid"},
		"unknown session": {func() error { _, err := session.NewClient(sdk(t, s)).Get(ctx, "sess_none"); return err }, 404, "resource_not_found"},
	} {
		t.Run(name, func(t *testing.T) { apiError(t, try.do(), try.status, try.code) })
	}
}

func TestSDKSessions(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{})
	ctx := context.Background()
	users, sessions := user.NewClient(sdk(t, s)), session.NewClient(sdk(t, s))
	made, err := users.Create(ctx, &user.CreateParams{FirstName: new("Ada")})
	if err != nil {
		t.Fatal(err)
	}
	if made.LastSignInAt != nil {
		t.Errorf("a user who never signed in has last_sign_in_at %d", *made.LastSignInAt)
	}
	opened, err := sessions.Create(ctx, &session.CreateParams{UserID: made.ID})
	if err != nil {
		t.Fatal(err)
	}
	if opened.Status != "active" || opened.UserID != made.ID || opened.LatestActivity == nil {
		t.Errorf("got session %+v", opened)
	}
	if u, err := users.Get(ctx, made.ID); err != nil || u.LastSignInAt == nil || u.UpdatedAt <= made.UpdatedAt {
		t.Errorf("signing in left the user as %+v (%v)", u, err)
	}
	revoked, err := sessions.Revoke(ctx, &session.RevokeParams{ID: opened.ID})
	if err != nil || revoked.Status != "revoked" {
		t.Fatalf("got %+v, %v from revoke", revoked, err)
	}
	list, err := sessions.List(ctx, &session.ListParams{UserID: &made.ID, Status: new("revoked")})
	if err != nil || list.TotalCount != 1 || list.Sessions[0].ID != opened.ID {
		t.Fatalf("got list %+v, %v", list, err)
	}
	if got, err := sessions.Get(ctx, opened.ID); err != nil || got.Status != "revoked" {
		t.Errorf("got %+v, %v", got, err)
	}
}
