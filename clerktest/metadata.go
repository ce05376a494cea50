package clerktest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

func isObject(raw []byte) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 1 && raw[0] == '{' && json.Valid(raw)
}

// mergeMetadata is the deep merge of PATCH /v1/users/{id}/metadata: objects are
// merged member by member, null removes a member, everything else replaces.
func mergeMetadata(present, patch []byte) []byte {
	var old, change map[string]json.RawMessage
	if json.Unmarshal(patch, &change) != nil {
		return patch // an array or a scalar
	}
	if len(present) > 0 && json.Unmarshal(present, &old) != nil {
		old = nil
	}
	if old == nil {
		old = map[string]json.RawMessage{}
	}
	for name, value := range change {
		switch {
		case string(value) == "null":
			delete(old, name)
		case value[0] == '{':
			old[name] = mergeMetadata(old[name], value)
		default:
			old[name] = value
		}
	}
	var w writer
	w.open("", '{')
	for _, name := range slices.Sorted(maps.Keys(old)) {
		w.str("", name)
		w.buf = append(append(w.buf, ':'), old[name]...)
	}
	return w.close('}').buf
}

// merged returns the body of a PATCH of metadata as the body of a PUT.
func (u *user) merged(body map[string]json.RawMessage) (map[string]json.RawMessage, *apiError) {
	out := make(map[string]json.RawMessage, len(body))
	for param, patch := range body {
		field, ok := map[string][]byte{"public_metadata": u.public, "private_metadata": u.private, "unsafe_metadata": u.unsafe}[param]
		switch {
		case !ok:
			return nil, errUnknownParam(param)
		case string(patch) == "null":
		case !isObject(patch):
			return nil, unprocessable("form_param_value_invalid", "is invalid", param+" must be a valid key-value object.", param)
		default:
			out[param] = mergeMetadata(field, patch)
		}
	}
	return out, nil
}
