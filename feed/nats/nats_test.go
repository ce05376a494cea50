package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/clerksync/clerksync/feed"
	feednats "github.com/clerksync/clerksync/feed/nats"
	clerksync "github.com/clerksync/clerksync/sync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ feed.Serial = (*feednats.Receiver)(nil) // or a batch would come again whole

// serve starts a NATS server with JetStream and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	return start(t, server.Options{Port: -1, StoreDir: t.TempDir()}).ClientURL()
}

func start(t *testing.T, options server.Options) *server.Server {
	t.Helper()
	options.Host, options.JetStream, options.NoLog, options.NoSigs = "127.0.0.1", true, true, true
	s, err := server.NewServer(&options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { stop(s) })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// stream makes a stream and returns it.
func stream(t *testing.T, url, name, subjects string) jetstream.Stream {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subjects}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func receiver(t *testing.T, url string) *feednats.Receiver {
	t.Helper()
	r, err := feednats.Open(feednats.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func message(seq int64) feed.Message {
	return feed.Message{
		ID:     fmt.Sprintf("born-%d", seq),
		Event:  fmt.Appendf(nil, `{"id":"%d"}`, seq),
		Change: clerksync.Change{Seq: seq, Kind: clerksync.Users, Op: clerksync.Updated},
	}
}

// TestStream publishes messages, some of them twice as after a crash: the stream has each once, in order, under its subject.
func TestStream(t *testing.T) {
	url := serve(t)
	s := stream(t, url, "CLERK", "clerk.>")
	r := receiver(t, url+"/CLERK")
	for _, seq := range []int64{1, 2, 3, 2, 3, 4, 5} {
		if err := r.Send(t.Context(), message(seq)); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{FilterSubject: "clerk.user.updated"})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.FetchNoWait(10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for m := range batch.Messages() {
		var e struct{ ID string }
		if err := json.Unmarshal(m.Data(), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e.ID)
		if id := m.Headers().Get("Nats-Msg-Id"); id != "born-"+e.ID {
			t.Errorf("message %s has the id %q", e.ID, id)
		}
	}
	if strings.Join(got, " ") != "1 2 3 4 5" {
		t.Errorf("the stream has %v, want 1 to 5", got)
	}
}

// TestTroubles tells what is wrong, without the password, and delivers once it is right.
func TestTroubles(t *testing.T) {
	url := serve(t)
	r := receiver(t, url+"/CLERK")
	send := func(r *feednats.Receiver) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return r.Send(ctx, message(1))
	}
	if err := send(r); err == nil || !strings.Contains(err.Error(), "nats stream add CLERK") || !strings.Contains(err.Error(), "no leader") {
		t.Errorf("without a stream: %v", err)
	}
	stream(t, url, "OTHER", "clerk.organization.>")
	s := stream(t, url, "CLERK", "clerk.user.>")
	if err := send(r); err != nil {
		t.Error("with the stream: ", err)
	}
	if info, err := s.Info(t.Context()); err != nil || info.State.Msgs != 1 {
		t.Errorf("the stream has %+v (%v), want one message", info, err)
	}
	if err := send(receiver(t, url+"/OTHER")); err == nil || !strings.Contains(err.Error(), "another stream than OTHER") {
		t.Errorf("with another stream: %v", err)
	}
	away := receiver(t, "nats://user:hunter2@127.0.0.1:1/CLERK")
	if err := send(away); err == nil || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("without a server: %v", err)
	}
}

// TestRefusedForAWhile has the server refuse the password again and again, and then take it.
func TestRefusedForAWhile(t *testing.T) {
	options := server.Options{Port: -1, StoreDir: t.TempDir(), Username: "clerk", Password: "hunter2"}
	s := start(t, options)
	options.Port = s.Addr().(*net.TCPAddr).Port
	url := fmt.Sprintf("nats://clerk:hunter2@127.0.0.1:%d", options.Port)
	t.Run("make the stream", func(t *testing.T) { stream(t, url, "CLERK", "clerk.>") })
	r := receiver(t, url+"/CLERK")
	if err := send(t, r); err != nil {
		t.Fatal(err)
	}

	stop(s)
	options.Password = "another"
	s = start(t, options)
	eventually(t, "a third refusal", func() bool {
		err := send(t, r)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("with another password: %v", err)
		}
		all, _ := s.Varz(nil)
		return all.TotalConnections >= 3 && strings.Contains(err.Error(), "Authorization Violation")
	})

	stop(s)
	options.Password = "hunter2"
	start(t, options)
	eventually(t, "a message to be taken again", func() bool { return send(t, r) == nil })
}

// TestForbiddenForAWhile has the server forbid what publishing needs, which it tells beside an answer that never comes, and then allow it:
// the receiver tells what is forbidden, and goes on without a restart.
func TestForbiddenForAWhile(t *testing.T) {
	elsewhere := &server.SubjectPermission{Allow: []string{"other.>"}}
	for needed, without := range map[string]*server.Permissions{"clerk.user.updated": {Publish: elsewhere}, "_INBOX.": {Subscribe: elsewhere}} {
		users := func(p *server.Permissions) []*server.User {
			return []*server.User{{Username: "owner", Password: "hunter2"}, {Username: "clerk", Password: "hunter2", Permissions: p}}
		}
		options := server.Options{Host: "127.0.0.1", Port: -1, StoreDir: t.TempDir(), JetStream: true, NoLog: true, NoSigs: true, Users: users(without)}
		s := start(t, options)
		url := fmt.Sprintf("clerk:hunter2@127.0.0.1:%d", s.Addr().(*net.TCPAddr).Port)
		stream(t, "nats://"+strings.Replace(url, "clerk", "owner", 1), "CLERK", "clerk.>")
		r := receiver(t, "nats://"+url+"/CLERK")
		if err := send(t, r); err == nil || !strings.Contains(err.Error(), `"`+needed) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("without the right to %s: %v", needed, err)
		}
		options.Users = users(nil)
		if err := s.ReloadOptions(&options); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a message to be taken", func() bool { return send(t, r) == nil })
	}
}

// TestConnectionDiesSilently has a NAT forget the connection: the next message that finds no answer is the last one.
func TestConnectionDiesSilently(t *testing.T) {
	s := start(t, server.Options{Port: -1, StoreDir: t.TempDir()})
	stream(t, s.ClientURL(), "CLERK", "clerk.>")
	n := forgetful(t, s.Addr().String())
	r := receiver(t, "nats://"+n.Addr().String()+"/CLERK")
	if err := send(t, r); err != nil {
		t.Fatal(err)
	}
	n.forgotten.Store(n.made.Load())
	if err := send(t, r); err == nil || !strings.Contains(err.Error(), "does not answer in time") {
		t.Errorf("over a dead connection: %v", err)
	}
	eventually(t, "a message to be taken over another connection", func() bool { return send(t, r) == nil })
}

// nat passes on what connections carry, and of those that it has forgotten nothing.
type nat struct {
	net.Listener
	made, forgotten atomic.Int64
}

// forgetful starts a nat before a server.
func forgetful(t *testing.T, server string) *nat {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nat{Listener: l}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			here, err := l.Accept()
			if err != nil {
				return
			}
			there, err := net.Dial("tcp", server)
			if err != nil {
				here.Close()
				continue
			}
			number := n.made.Add(1)
			all.Go(func() { n.pass(here, there, number) })
			all.Go(func() { n.pass(there, here, number) })
		}
	})
	t.Cleanup(all.Wait) // once the receiver and the server have ended, and with them all connections
	t.Cleanup(func() { l.Close() })
	return n
}

func (n *nat) pass(to, from net.Conn, number int64) {
	defer to.Close()
	defer from.Close()
	chunk := make([]byte, 4<<10)
	for {
		got, err := from.Read(chunk)
		if err != nil {
			return
		}
		if number <= n.forgotten.Load() {
			continue
		}
		if _, err := to.Write(chunk[:got]); err != nil {
			return
		}
	}
}

// send sends a message, if that takes no longer than half a second.
func send(t *testing.T, r *feednats.Receiver) error {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	return r.Send(ctx, message(1))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waiting for ", what)
		}
	}
}

func TestMistakes(t *testing.T) {
	for url, good := range map[string]bool{
		"nats://localhost:4222/CLERK": true, "tls://user:pw@localhost/CLERK": true, "nats://localhost:4222": false,
		"nats://localhost:4222/": false, "nats://localhost:4222/a.b": false, "http://localhost/CLERK": false, "nats:///CLERK": false, "\x7f": false,
	} {
		if err := feednats.CheckURL(url); (err == nil) != good {
			t.Errorf("%q: %v, want it good: %t", url, err, good)
		}
	}
}
