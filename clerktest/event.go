package clerktest

import (
	"encoding/json"
	"time"
)

// Event is an event for Send. The zero value of a field takes what the
// instance would send.
type Event struct {
	// ID is the message id (svix-id); "" takes the next one.
	ID string
	// Type is the event type, such as "user.updated".
	Type string
	// Data is the event's data. It is sent as it is, even if it is not JSON.
	Data json.RawMessage
	// Timestamp is the envelope's timestamp. Clerk sends milliseconds, its
	// published examples show seconds. Zero is now in milliseconds.
	Timestamp int64
	// InstanceID is the envelope's instance.
	InstanceID string
	// Body replaces the whole envelope.
	Body []byte
}

// Send signs and posts any event, past the faults of Drop, Duplicate and
// Reorder, and returns its message id. It returns at once; Wait waits for the
// delivery.
func (c *Clerk) Send(event Event) (id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if event.ID == "" {
		event.ID = c.newID(kindMessage)
	}
	if event.InstanceID == "" {
		event.InstanceID = c.config.InstanceID
	}
	if event.Timestamp == 0 {
		event.Timestamp = c.nowMilli()
	}
	if event.Body == nil {
		w := &writer{}
		w.open("", '{').raw("data", string(event.Data))
		event.Body = w.envelope(event.Type, event.InstanceID, event.Timestamp, fromGo)
	}
	c.sender.send(newMessage(event.ID, event.Type, "", c.now(), event.Body), true)
	return event.ID
}

// envelope writes everything after data.
func (w *writer) envelope(eventType, instance string, timestamp int64, from origin) []byte {
	w.open("event_attributes", '{').open("http_request", '{').str("client_ip", from.ip).str("user_agent", from.agent).close('}').close('}')
	return w.str("instance_id", instance).str("object", "event").num("timestamp", timestamp).str("type", eventType).close('}').buf
}

// emit announces an event about an object that was last changed at changed. It
// is stamped not earlier than that, however fast the changes followed. The
// caller holds mu, so that events are sent in the order of the writes.
func (c *Clerk) emit(eventType string, from origin, objectID string, changed int64, data func(w *writer)) {
	if !c.sender.enabled() {
		return
	}
	w := &writer{buf: make([]byte, 0, 3<<10)}
	w.open("", '{')
	data(w)
	now := c.now()
	payload := w.envelope(eventType, c.config.InstanceID, max(now.UnixMilli(), changed), from)
	c.sender.send(newMessage(c.newID(kindMessage), eventType, objectID, now, payload), false)
}

func (c *Clerk) emitUser(eventType string, from origin, u *user) {
	c.emit(eventType, from, u.id, u.updatedAt, func(w *writer) { w.eventUser("data", u) })
}

func (c *Clerk) emitDeleted(from origin, u *user) {
	c.emit("user.deleted", from, u.id, u.updatedAt, func(w *writer) {
		w.open("data", '{').flag("deleted", true)
		if u.externalID != nil {
			w.str("external_id", *u.externalID)
		}
		w.str("id", u.id).str("object", "user").close('}')
	})
}

// announce announces an event about an object, whose data writes the member
// "data" with the members of every object sorted. The caller holds mu.
func (c *Clerk) announce(eventType string, from origin, h *head, data func(w *writer)) {
	c.emit(eventType, from, h.id, h.updatedAt, func(w *writer) {
		w.webhook = true
		data(w)
		w.webhook = false
	})
}

// announceGone announces that an object is deleted. The caller holds mu.
func (c *Clerk) announceGone(eventType string, from origin, h *head, object string) {
	c.announce(eventType, from, h, func(w *writer) { w.gone("data", object, h.id, nil) })
}

// gone writes what is left of a deleted object.
func (w *writer) gone(name, object, id string, slug *string) {
	w.open(name, '{').str("object", object).str("id", id)
	if slug != nil {
		w.str("slug", *slug)
	}
	w.flag("deleted", true).close('}')
}

// Message is an event on its way, as Svix's message log shows it.
type Message struct {
	// ID is the message id, the svix-id of every attempt.
	ID string `json:"id"`
	// Type is the event type.
	Type string `json:"type"`
	// ObjectID is the object it is about; "" for those of Send.
	ObjectID string `json:"object_id"`
	// At is when the event happened.
	At time.Time `json:"at"`
	// Status is "pending", "delivered", "failed" (all attempts used up, or
	// aborted by the receiver) or "missing" (dropped).
	Status string `json:"status"`
	// Attempts is how often it was posted, to all endpoints together.
	Attempts int `json:"attempts"`
	// Code is the HTTP status of the last attempt, 0 if there was no answer.
	Code int `json:"code"`
	// Body is the signed body.
	Body []byte `json:"-"`
}
