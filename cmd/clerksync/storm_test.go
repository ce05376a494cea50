package main_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/clerksync/clerksync/clerktest"
)

// storm makes people sign up, change and leave, some three events between two pauses, until it is told to stop.
func storm(clerk *clerktest.Server, pause time.Duration, stop <-chan struct{}) error {
	var errs []error
	for i := 0; ; i++ {
		id, err := clerk.CreateUser(clerktest.Fields{"first_name": fmt.Sprint("New ", i)})
		errs = append(errs, err, clerk.UpdateUser(id, clerktest.Fields{"last_name": "Changed"}), clerk.BanUser(id))
		if i%2 == 0 {
			errs = append(errs, clerk.DeleteUser(id))
		}
		select {
		case <-stop:
			return errors.Join(errs...)
		case <-time.After(pause):
		}
	}
}

// recorder is a transport that sends deliveries to wherever the daemon listens now and notes which were answered 204.
type recorder struct {
	mu       sync.Mutex
	host     string
	answered map[string]bool
}

func (r *recorder) to(endpoint string) {
	u, err := url.Parse(endpoint)
	if err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.host = u.Host
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	host := r.host
	r.mu.Unlock()
	if host == "" {
		return nil, errors.New("the daemon is down")
	}
	moved := req.Clone(req.Context())
	moved.URL.Host, moved.Host = host, host
	resp, err := client.Transport.RoundTrip(moved)
	if err == nil && resp.StatusCode == http.StatusNoContent {
		r.mu.Lock()
		r.answered[req.Header.Get("Svix-Id")] = true
		r.mu.Unlock()
	}
	return resp, err
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.answered)
}

func (r *recorder) all() (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.answered {
		ids = append(ids, id)
	}
	return ids
}
