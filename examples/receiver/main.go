// Command receiver is another service that is told of every change by clerksync's signed posts: it sends a welcome mail once, and one alarm
// for each suspicious sign-in.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"sync"

	svix "github.com/svix/svix-webhooks/go"
)

func main() {
	h, err := newReceiver(os.Getenv("CLERKSYNC_PUBLISH_SECRET"), func(id string) { log.Print("welcome, ", id) }, func(id string) { log.Print("look at ", id) })
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("POST /changes", h)
	log.Fatal(http.ListenAndServe("127.0.0.1:4000", nil))
}

// receiver keeps the last version of each object that it has acted on; yours would do so in its database, in one transaction with the act.
type receiver struct {
	verifier *svix.Webhook
	welcome  func(id string)
	alarm    func(id string)

	mu       sync.Mutex
	versions map[string]int64
}

func newReceiver(secret string, welcome, alarm func(id string)) (http.Handler, error) {
	if secret == "" { // older versions of the library take it, and then anybody can sign
		return nil, errors.New("CLERKSYNC_PUBLISH_SECRET is missing")
	}
	verifier, err := svix.NewWebhook(secret)
	return &receiver{verifier: verifier, welcome: welcome, alarm: alarm, versions: map[string]int64{}}, err
}

// ServeHTTP implements [http.Handler].
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 4<<20))
	if err != nil || r.verifier.Verify(body, req.Header) != nil {
		http.Error(w, "not signed by clerksync", http.StatusUnauthorized)
		return
	}
	var event struct {
		Type    string `json:"type"`
		Subject string `json:"subject"`
		Data    struct {
			Version int64 `json:"version"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	about := event.Subject
	if event.Type == "com.clerk.session.suspicious" {
		about += " suspicious" // a remark, of the version that was told of before it
	}
	if event.Data.Version > r.versions[about] { // or else it came again
		r.versions[about] = event.Data.Version
		switch event.Type {
		case "com.clerk.user.created":
			r.welcome(event.Subject)
		case "com.clerk.session.suspicious":
			r.alarm(event.Subject)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}
