package sync

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/clerksync/clerksync/internal/scan"
	"github.com/go-json-experiment/json/jsontext"
)

// Readers of columns. A member of an unexpected type is null in its column and stays as it is in data.

func textMember(name string) func(*object) []byte {
	return func(o *object) []byte { return textColumn(o.member(name)) }
}

func textColumn(v []byte) []byte {
	if len(v) == 0 || v[0] != '"' {
		return nil
	}
	if bytes.IndexByte(v, '\\') < 0 { // nothing in it is escaped, so nothing can be unclean
		return v
	}
	return scan.Clean(nil, v)
}

func boolMember(name string) func(*object) []byte {
	return func(o *object) []byte {
		if v := o.member(name); string(v) == "true" || string(v) == "false" {
			return v
		}
		return nil
	}
}

func timeMember(name string) func(*object) []byte {
	return func(o *object) []byte {
		ms, ok := scan.Int(o.member(name))
		if !ok {
			return nil
		}
		if !onCalendar(ms) {
			return nil
		}
		return time.UnixMilli(ms).UTC().AppendFormat(make([]byte, 0, len(quotedTimeFormat)), quotedTimeFormat)
	}
}

const quotedTimeFormat = `"` + timeFormat + `"`

func intMember(name string) func(*object) []byte {
	return func(o *object) []byte {
		n, ok := scan.Int(o.member(name))
		if !ok {
			return nil
		}
		return strconv.AppendInt(nil, n, 10)
	}
}

// nestedText reads a text out of a member that is an object.
func nestedText(outer, inner string) func(*object) []byte {
	return func(o *object) []byte { return textColumn(member(o.member(outer), inner)) }
}

// idMember reads the id of another object. What cannot be one is null: indexes hold ids, and refuse long texts.
func idMember(name string) func(*object) []byte {
	return func(o *object) []byte { return idColumn(o.member(name)) }
}

func nestedID(outer, inner string) func(*object) []byte {
	return func(o *object) []byte { return idColumn(member(o.member(outer), inner)) }
}

func idColumn(v []byte) []byte {
	if id, ok := scan.String(v); ok && validID(id) {
		return v
	}
	return nil
}

// listMember reads an array as it is.
func listMember(name string) func(*object) []byte {
	return func(o *object) []byte {
		v := o.member(name)
		if len(v) == 0 || v[0] != '[' {
			return nil
		}
		return scan.Clean(nil, v)
	}
}

// keysOf reads the keys of an array of objects: a role's permissions, say.
func keysOf(name string) func(*object) []byte {
	return func(o *object) []byte {
		if len(o.member(name)) == 0 {
			return nil
		}
		return appendTexts(nil, o.keys(name))
	}
}

// keys returns the member "key" of each object in an array, sorted.
func (o *object) keys(name string) (keys []string) {
	_ = scan.Array(o.member(name), func(elem []byte) error {
		keys = append(keys, memberText(elem, "key"))
		return nil
	})
	slices.Sort(keys)
	return keys
}

func appendTexts(dst []byte, texts []string) []byte {
	return appendList(dst, texts, appendText)
}

// appendList appends a JSON array.
func appendList[E any](dst []byte, elements []E, appendElement func([]byte, E) []byte) []byte {
	dst = append(dst, '[')
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendElement(dst, e)
	}
	return append(dst, ']')
}

func freeMember(name string) func(*object) []byte {
	return func(o *object) []byte {
		if o.withheld(name) {
			return nil
		}
		return o.member(name)
	}
}

// Writers of the canonical projection. An optional member that is absent hashes like one that is null, false or empty, since
// Clerk leaves them out in some places.

func projectText(name string) func([]byte, *object) []byte {
	return func(dst []byte, o *object) []byte { return appendCanonicalText(dst, o.member(name)) }
}

func projectNested(outer, inner string) func([]byte, *object) []byte {
	return func(dst []byte, o *object) []byte { return appendCanonicalText(dst, member(o.member(outer), inner)) }
}

// projectTexts appends an array of texts whose order means nothing.
func projectTexts(name string) func([]byte, *object) []byte {
	return func(dst []byte, o *object) []byte {
		var texts []string
		_ = scan.Array(o.member(name), func(elem []byte) error {
			s, _ := scan.String(elem)
			texts = append(texts, s)
			return nil
		})
		slices.Sort(texts)
		return appendTexts(dst, texts)
	}
}

func projectKeys(name string) func([]byte, *object) []byte {
	return func(dst []byte, o *object) []byte { return appendTexts(dst, o.keys(name)) }
}

func projectBool(name string) func([]byte, *object) []byte {
	return func(dst []byte, o *object) []byte {
		return strconv.AppendBool(dst, string(o.member(name)) == "true")
	}
}

func projectInt(name string) func([]byte, *object) []byte {
	return func(dst []byte, o *object) []byte {
		if n, ok := scan.Int(o.member(name)); ok {
			return strconv.AppendInt(dst, n, 10)
		}
		return append(dst, null...)
	}
}

func projectFree(name string) func([]byte, *object) []byte {
	return func(dst []byte, o *object) []byte {
		if slices.Contains(o.unstorable, name) {
			return append(dst, null...)
		}
		v := o.member(name)
		if v == nil || string(v) == "{}" {
			return append(dst, "{}"...)
		}
		return appendCanonical(dst, v)
	}
}

// appendCanonical appends a value by RFC 8785. Where that has no answer, which is for objects with twin names, the value stands
// for itself.
func appendCanonical(dst, v []byte) []byte {
	c := jsontext.Value(slices.Clone(v))
	if err := c.Canonicalize(); err != nil {
		return scan.Compact(dst, v)
	}
	return append(dst, c...)
}

func appendCanonicalText(dst, v []byte) []byte {
	s, ok := scan.String(v)
	if !ok {
		return append(dst, null...)
	}
	return appendText(dst, s)
}

// appendText appends s as a JSON string with the least escaping, as RFC 8785 wants it.
func appendText(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // its one error is invalid UTF-8, which it has replaced
	return dst
}
