package sync

import (
	"slices"
	"strings"

	"github.com/clerksync/clerksync/internal/crash"
	"github.com/clerksync/clerksync/internal/scan"
)

// Payloads says which events keep their content.
type Payloads int

// The choices. Whatever they are, tokens and codes are never kept, nor mails and text messages.
const (
	PayloadsWaiting Payloads = iota // those that are quarantined or deferred, until they are resolved
	PayloadsNone                    // none but those of held deletions, so that what is quarantined or deferred must be read from Clerk
	PayloadsAll                     // all, as long as the event itself
)

// content returns what is kept of an event's body; nil for nothing.
func (m *Mirror) content(e *Event, p *piece) []byte {
	about, _, _ := strings.Cut(strings.ToLower(e.Type), ".")
	switch {
	case p.result.Reason == heldReason: // it names what to delete, and nothing else could approve it
	case p.passing, about == "email", about == "sms", m.cfg.EventPayloads == PayloadsNone:
		return nil
	case m.cfg.EventPayloads == PayloadsWaiting && (!p.result.Outcome.Waits() || p.Kind == "" && e.Quarantine == ""):
		return nil
	}
	return m.redact(e.Body)
}

// Members that are never kept, wherever in a body they are: what lets whoever reads it in, and what only mails hold.
var secretMembers = []string{"url", "token", "ticket", "otp_code", "backup_codes", "body", "message", "last_active_token"}

// envelopeMembers are what is kept of an event around its data. It also has the client's address and user agent.
var envelopeMembers = []string{"type", "object", "instance_id", "timestamp", "data"}

// deepest is how deep a body is looked into. What lies deeper is not kept: Clerk's own objects end long before.
const deepest = 32

// redact writes a body, an event's or that of an object which was read, without what is not kept. A body that is no JSON object is
// not kept at all.
func (m *Mirror) redact(body []byte) []byte {
	dropped := slices.Clone(secretMembers)
	if !m.cfg.PrivateMetadata {
		dropped = append(dropped, "private_metadata")
	}
	if m.cfg.SessionActivity != ActivityFull {
		dropped = append(dropped, "ip_address")
	}
	if m.cfg.SessionActivity == ActivityOmitted {
		dropped = append(dropped, "latest_activity")
	}
	var dst []byte
	err := crash.Contain(func() (err error) { // or a body that nobody could merge could not be put aside either
		event := member(body, "data") != nil
		dst, err = appendRedacted(nil, body, 0, func(name string, depth int) bool {
			// An event without data looks like an object, and still may say where the client is.
			return slices.Contains(dropped, name) || depth == 0 && (name == "event_attributes" || event && !slices.Contains(envelopeMembers, name))
		})
		return err
	})
	if err != nil {
		return nil
	}
	return dst
}

// metadata is what a user or the team puts there. Its names mean nothing to us.
var metadata = []string{"public_metadata", "unsafe_metadata", "private_metadata"}

// appendRedacted appends an object without the members that drop names.
func appendRedacted(dst, object []byte, depth int, drop func(name string, depth int) bool) ([]byte, error) {
	dst = append(dst, '{')
	comma := false
	err := scan.Outline(object, func(m scan.Member) (err error) {
		name := string(m.Name)
		if drop(name, depth) {
			return nil
		}
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst = append(appendText(dst, name), ':')
		if slices.Contains(metadata, name) {
			dst = append(dst, m.Value...)
			return nil
		}
		dst, err = appendRedactedValue(dst, m.Value, depth+1, drop)
		return err
	})
	return append(dst, '}'), err
}

func appendRedactedValue(dst, v []byte, depth int, drop func(name string, depth int) bool) ([]byte, error) {
	switch {
	case v[0] != '{' && v[0] != '[':
		return append(dst, v...), nil
	case depth > deepest:
		return append(dst, null...), nil
	case v[0] == '{':
		return appendRedacted(dst, v, depth, drop)
	}
	dst = append(dst, '[')
	comma := false
	err := scan.Array(v, func(elem []byte) (err error) {
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		dst, err = appendRedactedValue(dst, elem, depth+1, drop)
		return err
	})
	return append(dst, ']'), err
}
