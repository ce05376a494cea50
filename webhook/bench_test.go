package webhook_test

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/webhook"
)

func exampleBody(b *testing.B) string {
	b.Helper()
	body, err := os.ReadFile("../clerktest/testdata/events/user.updated.json")
	if err != nil {
		b.Fatal(err)
	}
	return string(body)
}

func BenchmarkVerify(b *testing.B) {
	body := exampleBody(b)
	h, _ := handle(b, pgtest.SQLite(b))
	header := sign(secret, "msg_1", time.Now(), body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if reason := h.VerifyForTest(header, []byte(body)); reason != "" {
			b.Fatal(reason)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(exampleBody(b))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := webhook.DecodeForTest(body); n != 1 || err != nil {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkDeliver posts events about different users from many senders at once, to PostgreSQL.
func BenchmarkDeliver(b *testing.B) {
	h, _ := handle(b, pgtest.New(b))
	var last atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer() // the server has started
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n, now := last.Add(1), ms(time.Now())
			body := envelope("user.created", now, userJSON(fmt.Sprint("user_", n), now))
			if code := post(h, sign(secret, fmt.Sprint("msg_", n), time.Now(), body), []byte(body)); code != http.StatusNoContent {
				b.Fatal(code)
			}
		}
	})
}
