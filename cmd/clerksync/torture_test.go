//go:build torture

package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clerksync/clerksync/clerktest"
	"github.com/clerksync/clerksync/internal/pgtest"
)

// The bounds of the torture, all on the loopback address.
const (
	tortureTime   = 30 * time.Second
	slowClients   = 1000
	forgeries     = 1000 // a second
	normal        = 20   // deliveries a second
	mostLatency   = 250 * time.Millisecond
	mostMemory    = 256 << 20
	forgers       = 16
	forgeryPeriod = forgers * time.Second / forgeries
)

// TestTortureDoor holds a daemon's door open by a thousand slow connections, knocks with a thousand forgeries a second, and times a
// normal stream of events beside them.
func TestTortureDoor(t *testing.T) {
	clerk := emulate(t, clerktest.Config{})
	d := serve(t, clerk, environment(clerk, pgtest.URL(t), "CLERKSYNC_LOG_LEVEL=info"))
	address := strings.TrimPrefix(strings.TrimSuffix(d.webhook, "/api/webhooks/clerk"), "http://")
	stop := make(chan struct{})
	var group sync.WaitGroup
	defer group.Wait()
	stopOnce := sync.OnceFunc(func() { close(stop) })
	defer stopOnce()
	for i := range slowClients {
		group.Go(func() { dawdle(address, i, stop) })
	}
	var forged atomic.Int64
	pool := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: forgers, DisableCompression: true}}
	for range forgers {
		group.Go(func() { forge(pool, d.webhook, stop, &forged) })
	}
	defer pool.CloseIdleConnections()

	times := stream(t, clerk, d.webhook)
	elapsed := tortureTime.Seconds()
	peak := peakMemory(t, d.cmd.Process.Pid)
	stopOnce()
	slices.Sort(times)
	p50, p99 := times[len(times)/2], times[len(times)*99/100]
	t.Logf("%d events beside %d slow connections and %.0f forgeries/s: p50 %s, p99 %s, worst %s; memory at most %d MiB",
		len(times), slowClients, float64(forged.Load())/elapsed, p50, p99, times[len(times)-1], peak>>20)
	if p99 > mostLatency {
		t.Errorf("p99 %s, want %s at most", p99, mostLatency)
	}
	if peak > mostMemory {
		t.Errorf("%d MiB of memory, want %d at most", peak>>20, mostMemory>>20)
	}
	if rate := float64(forged.Load()) / elapsed; rate < forgeries/2 {
		t.Logf("the machine made only %.0f forgeries/s", rate)
	}
}

// stream delivers events at an even pace, each on a connection of its own, and returns how long each took.
func stream(t *testing.T, clerk *clerktest.Server, url string) (times []time.Duration) {
	tick := time.NewTicker(time.Second / normal)
	defer tick.Stop()
	for i := range int(tortureTime.Seconds()) * normal {
		<-tick.C
		begun := time.Now()
		if code := post(t.Context(), clerk, url, fmt.Sprint("msg_", i), clerk.InstanceID()); code != http.StatusNoContent {
			t.Errorf("event %d was answered %d, want 204", i, code)
		}
		times = append(times, time.Since(begun))
	}
	return times
}

// dawdle opens connections, one after the other, and sends a byte of a request a second: of its head, or of its body.
func dawdle(address string, i int, stop <-chan struct{}) {
	text := "POST /api/webhooks/clerk HTTP/1.1\r\nHost: x\r\nX-Slow: "
	if i%2 == 0 {
		text = "POST /api/webhooks/clerk HTTP/1.1\r\nHost: x\r\nSvix-Id: a\r\nSvix-Timestamp: 1\r\nSvix-Signature: v1,a\r\nContent-Length: 60000\r\n\r\n"
	}
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_, err = io.WriteString(conn, text)
		}
		for err == nil {
			select {
			case <-stop:
				conn.Close()
				return
			case <-time.After(time.Second):
				_, err = io.WriteString(conn, "x")
			}
		}
		if conn != nil {
			conn.Close()
		}
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// forge posts events that nobody signed.
func forge(client *http.Client, url string, stop <-chan struct{}, done *atomic.Int64) {
	body := `{"type":"user.created","data":{"id":"user_forged","x":"` + strings.Repeat("x", 2000) + `"}}`
	tick := time.NewTicker(forgeryPeriod)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header = http.Header{"Svix-Id": {"msg_forged"}, "Svix-Timestamp": {strconv.FormatInt(time.Now().Unix(), 10)}, "Svix-Signature": {"v1,Zm9yZ2Vk"}}
		resp, err := client.Do(r)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusUnauthorized {
			done.Add(1)
		}
	}
}

// peakMemory returns the most memory that a process has had in use.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if kib, found := strings.CutPrefix(line, "VmHWM:"); found {
			n, err := strconv.ParseInt(strings.Fields(kib)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("the kernel does not tell")
	return 0
}
