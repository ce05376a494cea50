package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/clerksync/clerksync/clerktest"
)

// Every baseline of a pass reads the whole list, however it finds its way.
func TestListUsers(t *testing.T) {
	server := clerktest.NewServer(t, clerktest.Config{Users: 1234, Gzip: true, PageCache: 10 << 20})
	for _, w := range []walk{{}, {Scan: true}, {Gzip: true}, {Gzip: true, Scan: true}} {
		w.URL, w.Key = server.URL(), server.SecretKey()
		order, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := listUsers(t.Context(), json.NewDecoder(bytes.NewReader(order)), json.NewEncoder(&out)); err != nil {
			t.Fatal(err)
		}
		var d done
		if err := json.Unmarshal(out.Bytes(), &d); err != nil || d.Users != 1234 || d.Seconds <= 0 {
			t.Errorf("%+v read %+v, %v", w, d, err)
		}
	}
	ids, err := someIDs(t.Context(), signIn{URL: server.URL(), Key: server.SecretKey()})
	distinct := map[string]bool{}
	for _, id := range ids {
		distinct[id] = true
	}
	if err != nil || len(distinct) != burstUsers {
		t.Errorf("%d ids for the logins, %v", len(distinct), err)
	}
}
