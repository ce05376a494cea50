package clerktest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"github.com/clerksync/clerksync/clerktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fatal is what testing.T and rapid.T share.
type fatal interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// instance returns an emulator without a listener.
func instance(t fatal, config clerktest.Config) *clerktest.Clerk {
	t.Helper()
	c, err := clerktest.New(config)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// get asks the Backend API and returns status and body.
func get(c *clerktest.Clerk, path string) (int, []byte) {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer "+c.SecretKey())
	answer := httptest.NewRecorder()
	c.ServeHTTP(answer, request)
	return answer.Code, answer.Body.Bytes()
}

// list returns the ids of a page.
func list(t fatal, c *clerktest.Clerk, query string) []string {
	t.Helper()
	status, raw := get(c, "/v1/users?"+query)
	if status != http.StatusOK {
		t.Fatalf("GET /v1/users?%s: %d %s", query, status, raw)
	}
	var users []struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(raw, &users); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	ids := []string{}
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	return ids
}

func create(t fatal, c *clerktest.Clerk, fields clerktest.Fields) string {
	t.Helper()
	id, err := c.CreateUser(fields)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return id
}
