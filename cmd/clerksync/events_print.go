package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
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
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range []struct{ name, value string }{
		{"id", e.ID}, {"type", e.Type}, {"object", e.ObjectID}, {"instance", e.InstanceID}, {"occurred", instant(e.OccurredAt)},
		{"received", instant(&e.ReceivedAt)}, {"attempts", fmt.Sprint(e.Attempts)}, {"outcome", string(e.Outcome)}, {"error", e.Error},
		{"due", instant(e.DueAt)}, {"payload", size(e.BodySize)},
	} {
		if line.value != "" {
			fmt.Fprintf(w, "%s\t%s\n", line.name, printable(line.value))
		}
	}
	return w.Flush()
}

func instant(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format("2006-01-02T15:04:05.000Z07:00")
}

func size(n int64) string {
	if n == 0 {
		return "not kept"
	}
	return fmt.Sprintf("%d bytes, kept until it is applied or dropped", n)
}

// printEvents prints a table. Where lines have a width, what can be looked up with events show is cut to fit it: objects first, then
// types. Ids are whole, to be copied.
func printEvents(out io.Writer, events []clerksync.Logged, width int) error {
	rows := [][]string{{"RECEIVED", "OUTCOME", "TYPE", "OBJECT", "ID"}}
	for _, e := range events {
		rows = append(rows, []string{
			e.ReceivedAt.Format(time.DateTime), string(e.Outcome), printable(e.Type), or(printable(e.ObjectID), "-"), printable(e.ID),
		})
	}
	widths := make([]int, len(rows[0]))
	total := 2 * (len(widths) - 1)
	for i := range widths {
		for _, row := range rows {
			widths[i] = max(widths[i], len([]rune(row[i])))
		}
		total += widths[i]
	}
	if width > 0 {
		for _, i := range []int{3, 2} {
			least := min(widths[i], 12)
			cut := min(max(total-width, 0), widths[i]-least)
			widths[i], total = widths[i]-cut, total-cut
		}
	}
	for _, row := range rows {
		for i, text := range row[:len(row)-1] {
			fmt.Fprintf(out, "%-*s  ", widths[i], cut(text, widths[i]))
		}
		if _, err := fmt.Fprintln(out, row[len(row)-1]); err != nil {
			return err
		}
	}
	return nil
}

func cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
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
