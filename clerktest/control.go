package clerktest

import (
	"cmp"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// Durations are texts, as the flags of programs take them.
var durations = json.JoinOptions(
	json.WithMarshalers(json.MarshalFunc(func(d time.Duration) ([]byte, error) { return json.Marshal(d.String()) })),
	json.WithUnmarshalers(json.UnmarshalFunc(func(raw []byte, d *time.Duration) (err error) {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		*d, err = time.ParseDuration(text)
		return err
	})))

// State sums up an instance.
type State struct {
	// InstanceID is the id of the instance.
	InstanceID string `json:"instance_id"`
	// Users and Sessions are how many exist.
	Users    int `json:"users"`
	Sessions int `json:"sessions"`
	// Resources is how many objects of every resource exist, by the names that
	// Objects takes.
	Resources map[string]int `json:"resources"`
	// Events are the messages by their state.
	Events Counts `json:"events"`
	// Requests are the API requests since the start, by route.
	Requests map[string]int `json:"requests"`
	// Unfinished are the messages that are pending, failed or missing, oldest
	// first, at most 1000.
	Unfinished []Message `json:"unfinished"`
	// Faults are the present faults.
	Faults Faults `json:"faults"`
}

// State sums up the instance, as GET /_emulator/state does.
func (c *Clerk) State() State {
	state := State{InstanceID: c.config.InstanceID, Requests: c.log.counts(), Faults: c.Faults(), Unfinished: []Message{}}
	c.mu.RLock()
	state.Users, state.Sessions = int(c.store.count()), len(c.sessions.all)
	state.Resources = c.counts()
	c.mu.RUnlock()
	c.sender.mu.Lock()
	defer c.sender.mu.Unlock()
	state.Events = c.sender.count()
	for _, m := range c.sender.messages {
		if (m.open > 0 || m.Status != "delivered") && len(state.Unfinished) < 1000 {
			state.Unfinished = append(state.Unfinished, m.Message)
		}
	}
	return state
}

func (c *Clerk) getState(w http.ResponseWriter, _ *http.Request) { reply(w, c.State()) }

// postFaults sets the faults that the body names, and leaves the others.
func (c *Clerk) postFaults(w http.ResponseWriter, r *http.Request) {
	faults := c.Faults()
	if !readControl(w, r, &faults) {
		return
	}
	if err := c.SetFaults(faults); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	reply(w, faults)
}

func (c *Clerk) postResend(w http.ResponseWriter, r *http.Request) {
	var order struct {
		Which string    `json:"which"` // failed (default), missing or all
		Since time.Time `json:"since"` // default: the beginning
	}
	if !readControl(w, r, &order) {
		return
	}
	switch order.Which = cmp.Or(order.Which, "failed"); order.Which {
	case "failed", "missing", "all":
		reply(w, map[string]int{"resent": c.Resend(order.Which, order.Since)})
	default:
		http.Error(w, `which is "failed", "missing" or "all"`, http.StatusUnprocessableEntity)
	}
}

// readControl reads a JSON body. It insists on the content type, which a page
// of another origin cannot send unasked.
func readControl(w http.ResponseWriter, r *http.Request, into any) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		http.Error(w, "send the body as Content-Type: application/json", http.StatusUnsupportedMediaType)
		return false
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, into, json.RejectUnknownMembers(true), durations)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return false
	}
	return true
}

func reply(w http.ResponseWriter, value any) {
	raw, err := json.Marshal(value, json.Deterministic(true), durations)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(raw, '\n')) // a client that left needs no answer
}
