package clerktest_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/clerksync/clerksync/clerktest"
)

// unzipped returns the answer to a GET request that accepts gzip, and whether it was compressed.
func unzipped(t *testing.T, c *clerktest.Clerk, path string) (body []byte, compressed bool) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+c.SecretKey())
	r.Header.Set("Accept-Encoding", "gzip")
	answer := httptest.NewRecorder()
	c.ServeHTTP(answer, r)
	if answer.Header().Get("Content-Encoding") != "gzip" {
		return answer.Body.Bytes(), false
	}
	z, err := gzip.NewReader(answer.Body)
	check(t, err)
	body, err = io.ReadAll(z)
	check(t, err)
	return body, true
}

// A cache is not to be told from its absence, whatever is done to users.
func TestPageCache(t *testing.T) {
	t.Parallel()
	with := instance(t, clerktest.Config{Users: 300, PageCache: 1 << 20, Gzip: true})
	without := instance(t, clerktest.Config{Users: 300})
	first, last := list(t, without, "limit=1")[0], list(t, without, "limit=1&order_by=%2Bcreated_at")[0]
	paths := []string{"/v1/users?limit=200", "/v1/users?limit=200&order_by=%2Bcreated_at&starting_after=" + last,
		"/v1/users?limit=500", "/v1/users?user_id=" + first, "/v1/users?limit=0", "/v1/users/count", "/v1/users/" + first}
	for what, change := range []func(c *clerktest.Clerk){
		func(*clerktest.Clerk) {},
		func(c *clerktest.Clerk) {
			check(t, c.UpdateUser(first, clerktest.Fields{"first_name": "Ada", "updated_at": 1}))
		},
		func(c *clerktest.Clerk) { check(t, c.DeleteUser(last)) },
		func(c *clerktest.Clerk) { check(t, c.SetFaults(clerktest.Faults{Empty: true})) },
	} {
		change(with)
		change(without)
		for range 2 {
			for _, path := range paths {
				_, want := get(without, path)
				_, plain := get(with, path)
				zipped, compressed := unzipped(t, with, path)
				if isError := bytes.Contains(want, []byte(`"errors"`)); !isError && (!bytes.Equal(plain, want) || !bytes.Equal(zipped, want)) {
					t.Errorf("%s after change %d: %d and %d bytes, want %d", path, what, len(plain), len(zipped), len(want))
				}
				if !compressed {
					t.Errorf("%s is not compressed", path)
				}
			}
		}
	}
	if _, compressed := unzipped(t, without, "/v1/users/count"); compressed {
		t.Error("an answer is compressed without having been asked for")
	}
}
