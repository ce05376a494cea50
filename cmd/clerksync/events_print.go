package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	clerksync "github.com/clerksync/clerksync/sync"
)

// shownEvent is an event as --json prints it. Its content is never printed: it may hold what nobody should read over a shoulder.
type shownEvent struct {
	ID           string            `json:"id"`
	Type         string            `json:"type"`
	ObjectID     string            `json:"object_id,omitempty"`
	InstanceID   string            `json:"instance_id,omitempty"`
	OccurredAt   *time.Time        `json:"occurred_at,omitempty"`
	ReceivedAt   time.Time         `json:"received_at"`
	Outcome      clerksync.Outcome `json:"outcome"`
	Error        string            `json:"error,omitempty"`
	Attempts     int               `json:"attempts"`
	DueAt        *time.Time        `json:"due_at,omitempty"`
	PayloadBytes int64             `json:"payload_bytes"` // of the content that is kept to try again; 0 if it is not
}

func showEvent(e clerksync.Logged) shownEvent {
	return shownEvent{e.ID, e.Type, e.ObjectID, e.InstanceID, e.OccurredAt, e.ReceivedAt, e.Outcome, e.Error, e.Attempts, e.DueAt, e.BodySize}
}

func printEvent(out io.Writer, e clerksync.Logged) error {
	var t columns
	for _, line := range []struct{ name, value string }{
		{"id", e.ID}, {"type", e.Type}, {"object", e.ObjectID}, {"instance", e.InstanceID}, {"occurred", instant(e.OccurredAt)},
		{"received", instant(&e.ReceivedAt)}, {"attempts", fmt.Sprint(e.Attempts)}, {"outcome", string(e.Outcome)}, {"error", e.Error},
		{"due", instant(e.DueAt)}, {"payload", payload(e)},
	} {
		if line.value != "" {
			t.row(line.name, printable(line.value))
		}
	}
	return t.print(out)
}

func instant(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format("2006-01-02T15:04:05.000Z07:00")
}

// payload tells of the content of an event without showing it.
func payload(e clerksync.Logged) string {
	switch {
	case e.BodySize == 0:
		return "not kept"
	case e.Outcome == clerksync.Quarantined || e.Outcome == clerksync.Deferred:
		return fmt.Sprintf("%d bytes, kept until it is applied or dropped", e.BodySize)
	}
	return fmt.Sprintf("%d bytes, kept as long as the event", e.BodySize)
}

func printEvents(out io.Writer, events []clerksync.Logged) error {
	t := columns{{"RECEIVED", "OUTCOME", "TYPE", "OBJECT", "ID"}}
	for _, e := range events {
		t.row(e.ReceivedAt.Format(time.DateTime), string(e.Outcome), printable(e.Type), cmp.Or(printable(e.ObjectID), "-"), printable(e.ID))
	}
	return t.print(out)
}

// printable keeps what others wrote from steering a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}
