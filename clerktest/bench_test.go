package clerktest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
)

// BenchmarkListPage renders pages of 500 users out of ten million, through the
// handler.
func BenchmarkListPage(b *testing.B) {
	c, err := clerktest.New(clerktest.Config{Users: 10_000_000})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for _, query := range []string{"order_by=%2Bcreated_at", "order_by=-updated_at", "order_by=%2Bcreated_at&offset=5000000"} {
		b.Run(query, func(b *testing.B) {
			request := httptest.NewRequest(http.MethodGet, "/v1/users?limit=500&"+query, nil)
			request.Header.Set("Authorization", "Bearer "+c.SecretKey())
			var size int
			for b.Loop() {
				answer := httptest.NewRecorder()
				c.ServeHTTP(answer, request)
				if answer.Code != http.StatusOK {
					b.Fatal(answer.Body)
				}
				size = answer.Body.Len()
			}
			b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "users/s")
			b.ReportMetric(float64(size)/500, "bytes/user")
		})
	}
}

// BenchmarkDelivery changes users and delivers the events to a receiver on the
// loopback interface.
func BenchmarkDelivery(b *testing.B) {
	c, err := clerktest.New(clerktest.Config{Users: 10_000})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer receiver.Close()
	c.SetWebhookURL(receiver.URL)
	var ids []string
	for id := range c.Users() {
		ids = append(ids, id)
	}
	n, start := 0, time.Now()
	for b.Loop() {
		if err := c.UpdateUser(ids[n%len(ids)], clerktest.Fields{"first_name": "Ada"}); err != nil {
			b.Fatal(err)
		}
		n++
	}
	if counts, err := c.Wait(context.Background()); err != nil || counts.Delivered != n {
		b.Fatalf("got %+v, %v, want %d delivered", counts, err, n)
	}
	// The clock of b stops before the last deliveries.
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "events/s")
}
