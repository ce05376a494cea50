package feed

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	clerksync "github.com/clerksync/clerksync/sync"
)

// Message is a change on its way to a receiver.
type Message struct {
	Change clerksync.Change

	// ID is the same whenever the change is sent, and no other change's, not even of another mirror.
	ID string

	// Instance is the Clerk instance that is mirrored; empty while none is pinned.
	Instance string

	// Event is the change as a CloudEvent: JSON in CloudEvents' structured mode.
	Event []byte

	// Object is Clerk's JSON of the object as the mirror has it when the message is sent, which may be later than the change. It is
	// nil unless the relay's Data is true, and where the object, or what it belongs to, is deleted or erased.
	Object []byte
}

// Type is the message's type as it follows a prefix, such as user.updated.
func (m Message) Type() string { return m.Change.Kind.Singular() + "." + string(m.Change.Op) }

// event is a CloudEvent 1.0.
type event struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`     // the seq
	Source      string    `json:"source"` // the instance
	Type        string    `json:"type"`
	Subject     string    `json:"subject"` // the object's id
	Time        time.Time `json:"time"`
	ContentType string    `json:"datacontenttype"`
	Data        data      `json:"data"`
}

type data struct {
	Resource clerksync.Kind    `json:"resource"`
	ID       string            `json:"id"`
	Op       clerksync.Outcome `json:"op"`
	Version  int64             `json:"version"`
	Initial  bool              `json:"initial"`
	Source   clerksync.Source  `json:"source"`
	Reasons  []string          `json:"reasons,omitempty"`
	Object   jsontext.Value    `json:"object,omitzero"`
}

// unpinned is the source of events while no instance is pinned: CloudEvents wants one.
const unpinned = "unpinned"

// encoder makes messages of changes.
type encoder struct {
	mirror *clerksync.Mirror
	born   string // of the mirror; tells its messages from those of a mirror that was started over
}

func newEncoder(m *clerksync.Mirror) *encoder {
	return &encoder{mirror: m, born: strconv.FormatInt(m.Born().UnixMilli(), 36)}
}

// encode makes messages of changes, with the objects as they are now if they are wanted.
func (e *encoder) encode(ctx context.Context, changes []clerksync.Change, withData bool) ([]Message, error) {
	instance, err := e.mirror.Pinned(ctx)
	if err != nil {
		return nil, err
	}
	var objects map[clerksync.Kind]map[string][]byte
	if withData {
		if objects, err = e.objects(ctx, changes); err != nil {
			return nil, err
		}
	}
	messages := make([]Message, len(changes))
	for i, c := range changes {
		m := Message{Change: c, ID: e.born + "-" + strconv.FormatInt(c.Seq, 10), Instance: instance}
		if c.Op != clerksync.Deleted && c.Op != clerksync.ErasedOp {
			m.Object = objects[c.Kind][c.ObjectID]
		}
		if m.Event, err = json.Marshal(describe(m)); err != nil {
			return nil, fmt.Errorf("encoding change %d: %w", c.Seq, err)
		}
		messages[i] = m
	}
	return messages, nil
}

func describe(m Message) event {
	c := m.Change
	return event{
		SpecVersion: "1.0", ID: strconv.FormatInt(c.Seq, 10), Source: cmp.Or(m.Instance, unpinned), Type: "com.clerk." + m.Type(), Subject: c.ObjectID,
		Time: c.OccurredAt, ContentType: "application/json",
		Data: data{Resource: c.Kind, ID: c.ObjectID, Op: c.Op, Version: c.Version, Initial: c.Initial, Source: c.Source, Reasons: c.Reasons, Object: m.Object},
	}
}

// objects reads the objects of changes as they are now.
func (e *encoder) objects(ctx context.Context, changes []clerksync.Change) (map[clerksync.Kind]map[string][]byte, error) {
	ids := map[clerksync.Kind][]string{}
	for _, c := range changes {
		ids[c.Kind] = append(ids[c.Kind], c.ObjectID)
	}
	objects := map[clerksync.Kind]map[string][]byte{}
	for kind, of := range ids {
		found, err := e.mirror.Objects(ctx, kind, of...)
		if err != nil {
			return nil, err
		}
		objects[kind] = found
	}
	return objects, nil
}
