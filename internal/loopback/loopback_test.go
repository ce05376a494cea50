package loopback_test

import (
	"testing"

	"github.com/clerksync/clerksync/internal/loopback"
)

func TestIs(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.8.9.10": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "[::1]": false, "127.0.0.1:80": false, "10.0.0.1": false, "127.1": false,
		"localhost.example.com": false, "127.0.0.1.example.com": false, "LOCALHOST": false,
	} {
		if got := loopback.Is(host); got != want {
			t.Errorf("Is(%q) = %t", host, got)
		}
	}
}
