package clerktest_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
)

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := clerktest.Start(ctx, clerktest.Config{})
	check(t, err)
	if _, err := clerktest.Start(ctx, clerktest.Config{Listen: strings.TrimPrefix(s.URL(), "http://")}); err == nil {
		t.Error("two servers listen on one address")
	}
	cancel()
	for deadline := time.Now().Add(10 * time.Second); ; {
		connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
		if err != nil {
			break
		}
		check(t, connection.Close())
		if time.Now().After(deadline) {
			t.Fatal("the server still listens")
		}
	}
	s.Close() // a second time
}

// Close ends the request that waits, also one whose body nobody has read, and
// returns after it.
func TestCloseWaitsForRequests(t *testing.T) {
	t.Parallel()
	for method, body := range map[string]string{http.MethodGet: "", http.MethodPost: "{}"} {
		entered, closed := make(chan struct{}), make(chan struct{})
		s := clerktest.NewServer(t, clerktest.Config{OnRequest: func(r *http.Request) {
			close(entered)
			<-r.Context().Done()
			select {
			case <-closed:
				t.Errorf("Close returned while a %s was under way", method)
			case <-time.After(200 * time.Millisecond):
			}
		}})
		var asking sync.WaitGroup
		asking.Go(func() {
			request, err := http.NewRequest(method, s.URL()+"/v1/users", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			if answer, err := transport.RoundTrip(request); err == nil {
				answer.Body.Close()
				t.Errorf("a %s was answered with %s after the end", method, answer.Status)
			}
		})
		<-entered
		s.Close()
		close(closed)
		asking.Wait()
	}
}

// What outlives a server does not keep it.
func TestClosedServersAreFreed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const servers = 5
	var freed atomic.Int64
	for range servers {
		s, err := clerktest.Start(ctx, clerktest.Config{})
		check(t, err)
		runtime.AddCleanup(s.Clerk, func(int) { freed.Add(1) }, 0)
		s.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); freed.Load() < servers; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("of %d closed servers %d are freed while their context lives", servers, freed.Load())
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]clerktest.Config{
		"short secret":       {WebhookSecret: "whsec_c2hvcnQ="},
		"secret not base64":  {WebhookSecret: "whsec_???"},
		"negative users":     {Users: -1},
		"impossible fault":   {Faults: clerktest.Faults{Drop: -0.1}},
		"negative rate":      {Faults: clerktest.Faults{RateLimit: -1}},
		"negative pauses":    {RetryScale: -1},
		"negative processes": {Concurrency: -1},
	} {
		if _, err := clerktest.New(config); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	live := instance(t, clerktest.Config{Live: true})
	if _, raw := get(live, "/v1/instance"); !strings.HasPrefix(live.SecretKey(), "sk_live_") ||
		string(raw) != `{"object":"instance","id":"`+live.InstanceID()+`","environment_type":"production","allowed_origins":null,"workspace_id":null}` {
		t.Errorf("got the key %s and the instance %s", live.SecretKey()[:8], raw)
	}
	given := instance(t, clerktest.Config{SecretKey: "sk_test_given", InstanceID: "ins_given", WebhookSecret: live.WebhookSecret()})
	if given.SecretKey() != "sk_test_given" || given.InstanceID() != "ins_given" || given.WebhookSecret() != live.WebhookSecret() {
		t.Error("what was given is not what is used")
	}
	if id := live.InstanceID(); !strings.HasPrefix(id, "ins_emulator") || len(id) != len("ins_2g7np7Hrk0SN6kj5EDMLDaKNL0S") {
		t.Errorf("got the instance id %s", id)
	}
}

// Everything at once, from many sides: the race detector watches, and the
// books balance in the end.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{Users: 100, RetryScale: 1e-6, Faults: clerktest.Faults{Duplicate: 0.2, Reorder: 0.2}})
	r := receive(t, c)
	r.answer = func(w http.ResponseWriter, attempt int) {
		if attempt%3 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	var running sync.WaitGroup
	for worker := range 8 {
		running.Go(func() {
			for n := range 20 {
				id, err := c.CreateUser(clerktest.Fields{"username": fmt.Sprintf("u%d-%d", worker, n)})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := c.CreateSession(id); err != nil {
					t.Error(err)
				}
				if err := c.BanUser(id); err != nil {
					t.Error(err)
				}
				get(c, "/v1/users?order_by=-updated_at&limit=5")
				get(c, "/v1/sessions?user_id="+id)
				c.State()
				if n%2 == 0 {
					if err := c.DeleteUser(id); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	running.Wait()
	counts := wait(t, c)
	// Created, signed in, revoked and banned 160 times; deleted 80 times.
	if want := 4*160 + 80; counts.Sent != want || counts.Delivered != want || counts.Attempts < 2*want {
		t.Errorf("got %+v, want %d delivered", counts, want)
	}
	if c.Count() != 180 || len(people(t, c)) != 180 {
		t.Errorf("%d users are left, want 180", c.Count())
	}
}

// Fields may begin as the zero value.
func TestZeroFields(t *testing.T) {
	t.Parallel()
	c := instance(t, clerktest.Config{})
	var none clerktest.Fields
	if id := c.MustCreateUser(none.Email("ada@example.com").With("first_name", "Ada")); !strings.Contains(string(c.User(id)), "ada@example.com") {
		t.Errorf("got %s", c.User(id))
	}
}
