package clerktest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// form reads the body of a write member by member and keeps the first mistake;
// after it nothing is read any more.
type form struct {
	body     body
	trustful bool // from Go, not over HTTP: anything goes
	err      *apiError
}

// newForm refuses every member that is not allowed. What is trusted may also
// set created_at and updated_at, in milliseconds.
func newForm(fields body, trustful bool, allowed ...string) *form {
	f := &form{body: fields, trustful: trustful}
	for _, param := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(allowed, param) && (!trustful || param != "created_at" && param != "updated_at") {
			f.err = errUnknownParam(param)
			break
		}
	}
	return f
}

// goForm is a form of what a method of Clerk was given.
func goForm(fields Fields, allowed ...string) (*form, error) {
	raw, err := fields.raw()
	if err != nil {
		return nil, err
	}
	return newForm(raw, true, allowed...), nil
}

// field reads one member; null and a missing one leave into alone.
func field[T any](f *form, param, kind string, into *T) (given bool) {
	raw, ok := f.body[param]
	if !ok || f.err != nil || string(raw) == "null" {
		return false
	}
	var value T
	if json.Unmarshal(raw, &value) != nil {
		f.err = errType(param, kind)
		return false
	}
	*into = value
	return true
}

func (f *form) text(param string, into *string) bool { return field(f, param, "string", into) }
func (f *form) flag(param string, into *bool) bool   { return field(f, param, "boolean", into) }
func (f *form) num(param string, into *int64) bool   { return field(f, param, "integer", into) }

// nullable reads a text that null and "" take away.
func (f *form) nullable(param string, into **string) {
	var text string
	switch {
	case string(f.body[param]) == "null" && f.err == nil:
		*into = nil
	case !f.text(param, &text):
	case text == "":
		*into = nil
	default:
		*into = &text
	}
}

// need refuses a body that lacks one of these.
func (f *form) need(params ...string) {
	for _, param := range params {
		if raw, ok := f.body[param]; f.err == nil && (!ok || string(raw) == "null" || string(raw) == `""`) {
			f.err = errMissingParam(param)
		}
	}
}

// check refuses a value that does not hold what it must.
func (f *form) check(ok bool, mistake *apiError) {
	if f.err == nil && !ok {
		f.err = mistake
	}
}

// metadata replaces metadata, or merges it into what is there.
func (f *form) metadata(param string, into *[]byte, merge bool) {
	raw, ok := f.body[param]
	switch {
	case !ok || f.err != nil || !f.trustful && string(raw) == "null":
	case !f.trustful && !isObject(raw):
		f.err = unprocessable("form_param_value_invalid", "is invalid", param+" must be a valid key-value object.", param)
	case merge:
		*into = mergeMetadata(*into, raw)
	default:
		*into = append([]byte{}, raw...)
	}
}

// email reads an address, in lower case as Clerk keeps it.
func (f *form) email(param string, into *string) {
	if !f.text(param, into) {
		return
	}
	address, ok := normalEmail(*into)
	f.check(ok, errFormat(param, "a valid email address"))
	*into = address
}

// times reads what a test may set, and the created_at of those endpoints that
// take one, as a date.
func (f *form) times(h *head) {
	if f.trustful {
		f.num("created_at", &h.createdAt)
		f.num("updated_at", &h.updatedAt)
		return
	}
	var at string
	if !f.text("created_at", &at) {
		return
	}
	parsed, err := time.Parse(time.RFC3339, at)
	f.check(err == nil, unprocessable("form_param_invalid_time", "invalid format",
		"created_at must contain a datetime specified in RFC3339 format (e.g. `2022-10-20T10:00:27.645Z`).", "created_at"))
	if f.err == nil {
		h.createdAt = parsed.UnixMilli()
	}
}

// spelled reports whether a text consists of lower-case letters, digits and the
// characters of more.
func spelled(text, more string) bool {
	return text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789"+more) == ""
}
