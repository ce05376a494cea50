package clerktest

import (
	"encoding/json"
	"net/mail"
	"strings"
	"time"
)

// Fields are members of a user by the names of Clerk's Backend API, such as
// "first_name", "email_address" (a list), "external_id" or "public_metadata".
// A nil value is null. Values are marshalled, but a json.RawMessage is stored
// and rendered byte by byte, even if it is hostile or not JSON at all.
type Fields map[string]any

// raw marshals the values one by one.
func (f Fields) raw() (map[string]json.RawMessage, error) {
	out := make(map[string]json.RawMessage, len(f))
	for name, value := range f {
		if raw, ok := value.(json.RawMessage); ok {
			out[name] = raw
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		out[name] = raw
	}
	return out, nil
}

// change is one write to one user, applied to a copy of it.
type change struct {
	c        *Clerk
	u        *user
	now      int64
	trustful bool // from Go, not over HTTP: anything goes
}

// setter reads one member of a body into the user.
type setter func(ch *change, param string, raw json.RawMessage) *apiError

func textSetter(field func(*user) **string) setter {
	return func(ch *change, param string, raw json.RawMessage) *apiError {
		var text *string
		if json.Unmarshal(raw, &text) != nil {
			return errType(param, "string")
		}
		if text != nil && *text == "" {
			text = nil
		}
		*field(ch.u) = text
		return nil
	}
}

func flagSetter(field func(*user) *bool) setter {
	return func(ch *change, param string, raw json.RawMessage) *apiError {
		var flag *bool
		if json.Unmarshal(raw, &flag) != nil {
			return errType(param, "boolean")
		}
		if flag != nil {
			*field(ch.u) = *flag
		}
		return nil
	}
}

func timeSetter(set func(u *user, ms *int64)) setter {
	return func(ch *change, param string, raw json.RawMessage) *apiError {
		var at *time.Time
		if json.Unmarshal(raw, &at) != nil {
			return unprocessable("form_param_invalid_time", "invalid format",
				param+" must contain a datetime specified in RFC3339 format (e.g. `2022-10-20T10:00:27.645Z`).", param)
		}
		if at == nil {
			set(ch.u, nil)
			return nil
		}
		set(ch.u, new(at.UnixMilli()))
		return nil
	}
}

func milliSetter(set func(u *user, ms *int64)) setter {
	return func(ch *change, param string, raw json.RawMessage) *apiError {
		var ms *int64
		if json.Unmarshal(raw, &ms) != nil {
			return errType(param, "integer")
		}
		set(ch.u, ms)
		return nil
	}
}

// metadataSetter replaces metadata as a whole.
func metadataSetter(field func(*user) *[]byte) setter {
	return func(ch *change, param string, raw json.RawMessage) *apiError {
		if !ch.trustful && string(raw) == "null" {
			return nil
		}
		if !ch.trustful && !isObject(raw) {
			return unprocessable("form_param_value_invalid", "is invalid", param+" must be a valid key-value object.", param)
		}
		*field(ch.u) = append([]byte{}, raw...)
		return nil
	}
}

// primarySetter names the primary one among a user's identifiers.
func primarySetter(list func(*user) []identifier, field func(*user) **string) setter {
	return func(ch *change, param string, raw json.RawMessage) *apiError {
		var id *string
		if json.Unmarshal(raw, &id) != nil {
			return errType(param, "string")
		}
		if id != nil && primary(list(ch.u), id) == nil {
			return errNoResource(param)
		}
		*field(ch.u) = id
		return nil
	}
}

// identifierSetter gives the user a list of identifiers, all verified, the
// first one primary. Those he has already keep their ids.
func identifierSetter(k kind, list func(*user) *[]identifier, first func(*user) **string, normal func(string) (string, bool), wanted string) setter {
	return func(ch *change, param string, raw json.RawMessage) *apiError {
		var given []string
		if json.Unmarshal(raw, &given) != nil {
			return errType(param, "array of string")
		}
		var out []identifier
		for _, value := range given {
			value, ok := normal(value)
			if !ok && !ch.trustful {
				return errFormat(param, wanted)
			}
			out = append(out, ch.identifier(k, *list(ch.u), value))
		}
		*list(ch.u), *first(ch.u) = out, nil
		if len(out) > 0 {
			*first(ch.u) = &out[0].id
		}
		return nil
	}
}

func (ch *change) identifier(k kind, present []identifier, value string) identifier {
	for _, i := range present {
		if i.value == value {
			return i
		}
	}
	return identifier{id: ch.c.newID(k), value: value, status: "verified", strategy: "admin", createdAt: ch.now, updatedAt: ch.now}
}

func normalEmail(text string) (string, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	parsed, err := mail.ParseAddress(text)
	return text, err == nil && parsed.Address == text
}

func normalPhone(text string) (string, bool) {
	digits, ok := strings.CutPrefix(text, "+")
	return text, ok && len(digits) >= 7 && len(digits) <= 15 && strings.Trim(digits, "0123456789") == ""
}

func normalWallet(text string) (string, bool) { return text, text != "" }

// ignored accepts a parameter whose effect no user object shows.
func ignored(*change, string, json.RawMessage) *apiError { return nil }
