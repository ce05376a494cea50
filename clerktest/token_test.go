package clerktest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	clerkhttp "github.com/clerk/clerk-sdk-go/v2/http"
	"github.com/clerk/clerk-sdk-go/v2/jwks"
	"github.com/clerk/clerk-sdk-go/v2/jwt"
	"github.com/clerk/clerk-sdk-go/v2/session"
	"github.com/google/go-cmp/cmp"

	"github.com/clerksync/clerksync/clerktest"
)

// clerk-sdk-go's own middleware lets the tokens in, and those of another
// instance not.
func TestSessionTokens(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{})
	other := clerktest.NewServer(t, clerktest.Config{})
	id := create(t, s.Clerk, clerktest.Fields{})
	opened, err := s.CreateSession(id)
	check(t, err)
	keys := jwks.NewClient(sdk(t, s))
	ask := func(token string, option clerkhttp.AuthorizationOption) (int, *clerk.SessionClaims) {
		var claims *clerk.SessionClaims
		handler := clerkhttp.WithHeaderAuthorization(option)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			claims, _ = clerk.SessionClaimsFromContext(r.Context())
		}))
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer.Code, claims
	}
	for name, option := range map[string]clerkhttp.AuthorizationOption{"JWKS": clerkhttp.JWKSClient(keys), "PEM": clerkhttp.JSONWebKey(s.JWTKey())} {
		status, claims := ask(s.SessionToken(id), option)
		if status != http.StatusOK || claims == nil || claims.Subject != id || claims.SessionID != opened || claims.Version != 1 {
			t.Errorf("%s: got %d and the claims %+v", name, status, claims)
		}
		if status, claims := ask(other.SessionToken(id), option); status != http.StatusUnauthorized || claims != nil {
			t.Errorf("%s: a foreign token got %d and the claims %+v", name, status, claims)
		}
	}
	made, err := session.NewClient(sdk(t, s)).CreateToken(context.Background(), &session.CreateTokenParams{ID: opened})
	check(t, err)
	if status, claims := ask(made.JWT, clerkhttp.JWKSClient(keys)); status != http.StatusOK || claims.Subject != id {
		t.Errorf("a token of the API got %d and the claims %+v", status, claims)
	}
	organization, err := s.CreateOrganization(clerktest.Fields{"name": "Analytical Engines", "created_by": id})
	check(t, err)
	impersonation, err := s.SignIn(id, clerktest.SessionOptions{Actor: []byte(`{"sub":"user_support"}`)})
	check(t, err)
	check(t, s.SwitchOrganization(impersonation, organization))
	status, claims := ask(s.SessionToken(id), clerkhttp.JWKSClient(keys))
	if status != http.StatusOK || claims.ActiveOrganizationID != organization || claims.ActiveOrganizationSlug != "analytical-engines" ||
		!claims.HasRole("org:admin") || string(claims.Actor) != `{"sub":"user_support"}` || claims.Issuer != s.Issuer() {
		t.Errorf("an impersonator in an organization got %d and the claims %+v", status, claims)
	}
	check(t, s.RemoveMember(organization, id))
	if _, claims := ask(s.SessionToken(id), clerkhttp.JWKSClient(keys)); claims.ActiveOrganizationID != "" {
		t.Errorf("who is no member any more got the claims %+v", claims)
	}
	check(t, s.DeleteUser(id))
	if status, claims := ask(s.SessionToken(id), clerkhttp.JWKSClient(keys)); status != http.StatusOK || claims.Subject != id {
		t.Errorf("a deleted user's token got %d and the claims %+v", status, claims)
	}
}

// clerk-sdk-go finds in a token what the role of its organization allows, and
// none of Clerk's own permissions, as with Clerk.
func TestTokenPermissions(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{})
	id := create(t, s.Clerk, clerktest.Fields{})
	organization := text(t)(s.CreateOrganization(clerktest.Fields{"name": "Analytical Engines", "created_by": id}))
	_, err := s.SignIn(id, clerktest.SessionOptions{OrganizationID: organization})
	check(t, err)
	keys := jwks.NewClient(sdk(t, s))
	claims := func() *clerk.SessionClaims {
		t.Helper()
		claims, err := jwt.Verify(t.Context(), &jwt.VerifyParams{Token: s.SessionToken(id), JWKSClient: keys})
		check(t, err)
		return claims
	}
	if got := claims().ActiveOrganizationPermissions; len(got) > 0 {
		t.Errorf("an admin's token tells %v", got)
	}
	want := []string{"org:invoices:read", "org:invoices:send", "org:engines:read", "org:engines:start"}
	text(t)(s.CreatePermission(clerktest.Fields{"key": "org:reports:write", "name": "Write reports"}))
	var permissions []string
	for _, key := range want {
		permissions = append(permissions, text(t)(s.CreatePermission(clerktest.Fields{"key": key, "name": key})))
	}
	text(t)(s.CreateRole(clerktest.Fields{"key": "org:accountant", "name": "Accountant", "permissions": permissions}))
	check(t, s.UpdateMember(organization, id, clerktest.Fields{"role": "org:accountant"}))
	got := claims()
	slices.Sort(got.ActiveOrganizationPermissions)
	slices.Sort(want)
	if !slices.Equal(got.ActiveOrganizationPermissions, want) || !got.HasPermission("org:engines:start") || !got.HasRole("org:accountant") {
		t.Errorf("an accountant's token tells %v, want %v", got.ActiveOrganizationPermissions, want)
	}
}

// A session's tokens, also those that the API makes, have the claims that it
// was given, which clerk-sdk-go checks and hands on.
func TestTokenClaims(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{})
	id := create(t, s.Clerk, clerktest.Fields{})
	keys := jwks.NewClient(sdk(t, s))
	type custom struct {
		Role     string `json:"https://example.com/role"`
		Metadata struct {
			Plan string `json:"plan"`
		} `json:"metadata"`
		Verified []int  `json:"fva"`
		Status   string `json:"sts"`
	}
	verify := func(token string) (*clerk.SessionClaims, error) {
		return jwt.Verify(t.Context(), &jwt.VerifyParams{
			Token: token, JWKSClient: keys, CustomClaimsConstructor: func(context.Context) any { return &custom{} },
			AuthorizedPartyHandler: func(party string) bool { return party == "https://app.example.com" },
		})
	}
	given := clerktest.Fields{
		"azp": "https://app.example.com", "https://example.com/role": "admin", "metadata": json.RawMessage(`{"plan":"pro"}`), "fva": []int{30, -1},
	}
	opened := text(t)(s.SignIn(id, clerktest.SessionOptions{Claims: given}))
	given["azp"] = "https://evil.example.net" // too late for this session
	made, err := session.NewClient(sdk(t, s)).CreateToken(t.Context(), &session.CreateTokenParams{ID: opened})
	check(t, err)
	for name, token := range map[string]string{"SessionToken": s.SessionToken(id), "the API": made.JWT} {
		claims, err := verify(token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, want := claims.Custom.(*custom), custom{Role: "admin", Verified: []int{30, -1}, Status: "active"}
		want.Metadata.Plan = "pro"
		if diff := cmp.Diff(want, *got); diff != "" || claims.Subject != id || claims.SessionID != opened || claims.Issuer != s.Issuer() {
			t.Errorf("%s: got the claims %+v and others (-want +got):\n%s", name, claims.RegisteredClaims, diff)
		}
	}
	text(t)(s.SignIn(id, clerktest.SessionOptions{Claims: given}))
	if _, err := verify(s.SessionToken(id)); err == nil {
		t.Error("the token of a foreign frontend was accepted")
	}
	before := s.State()
	if _, err := s.SignIn(id, clerktest.SessionOptions{Claims: clerktest.Fields{"no JSON": func() {}}}); err == nil {
		t.Error("claims without a JSON form were accepted")
	}
	if after := s.State(); !cmp.Equal(before, after) {
		t.Errorf("a refused sign-in changed the state from %+v to %+v", before, after)
	}
}

// Only an open session gives tokens, and they tell its status.
func TestEndedSessionGivesNoToken(t *testing.T) {
	t.Parallel()
	var clock clerktest.Clock
	c := instance(t, clerktest.Config{Users: 1, Now: clock.Now})
	user := someUsers(c)[0]
	for _, try := range []struct {
		name    string
		options clerktest.SessionOptions
		act     func(id string) error
		want    string // the token's sts, "" for none
	}{
		{"active", clerktest.SessionOptions{}, func(string) error { return nil }, "active"},
		{"pending", clerktest.SessionOptions{Pending: true}, func(string) error { return nil }, "pending"},
		{"ended", clerktest.SessionOptions{}, c.EndSession, ""},
		{"expired", clerktest.SessionOptions{ExpiresIn: time.Minute}, func(string) error { clock.Advance(time.Hour); return nil }, ""},
		{"banned", clerktest.SessionOptions{}, func(string) error { return c.BanUser(user) }, ""},
		{"banned while pending", clerktest.SessionOptions{Pending: true}, func(string) error { return c.BanUser(user) }, ""},
	} {
		id := text(t)(c.SignIn(user, try.options))
		check(t, try.act(id))
		answer := send(c, http.MethodPost, "/v1/sessions/"+id+"/tokens", "2026-05-12", "application/json", "{}")
		raw := answer.Body.Bytes()
		if try.want == "" {
			if answer.Code != http.StatusNotFound || !strings.Contains(string(raw), "resource_not_found") {
				t.Errorf("%s: got %d %s", try.name, answer.Code, raw)
			}
			continue
		}
		var got struct{ JWT string }
		check(t, json.Unmarshal(raw, &got))
		claims, err := base64.RawURLEncoding.DecodeString(strings.Split(got.JWT, ".")[1])
		check(t, err)
		if sts := decode(t, claims)["sts"]; sts != try.want {
			t.Errorf("%s: the token tells the status %v", try.name, sts)
		}
	}
}

// A token of an instance whose clock is behind has expired.
func TestSessionTokenExpires(t *testing.T) {
	t.Parallel()
	s := clerktest.NewServer(t, clerktest.Config{Now: func() time.Time { return time.Now().Add(-5 * time.Minute) }})
	_, err := jwt.Verify(context.Background(), &jwt.VerifyParams{Token: s.SessionToken("user_1"), JWKSClient: jwks.NewClient(sdk(t, s))})
	if err == nil {
		t.Error("a token of five minutes ago was accepted")
	}
}
