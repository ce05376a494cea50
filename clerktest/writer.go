package clerktest

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// writer appends JSON without reflection: pages of 500 users are the hot path.
// Every method returns the writer, and an empty name writes an array element.
type writer struct {
	buf     []byte
	gzipped bool   // buf is compressed
	webhook bool   // write as webhooks do: every object with its members sorted
	marks   []mark // members of the open objects and arrays, only for webhooks
	opened  []int  // how many marks preceded each of those
}

// name starts a member or an element.
func (w *writer) name(name string) {
	end := len(w.buf)
	if end > 0 {
		switch w.buf[end-1] {
		case '{', '[', ':':
		default:
			w.buf = append(w.buf, ',')
		}
	}
	if w.webhook {
		w.marks = append(w.marks, mark{name, end, len(w.buf)})
	}
	if name != "" {
		w.buf = append(w.buf, '"')
		w.buf = append(w.buf, name...)
		w.buf = append(w.buf, '"', ':')
	}
}

// open starts an object or an array.
func (w *writer) open(name string, bracket byte) *writer {
	w.name(name)
	w.buf = append(w.buf, bracket)
	if w.webhook {
		w.opened = append(w.opened, len(w.marks))
	}
	return w
}

func (w *writer) close(bracket byte) *writer {
	if w.webhook {
		w.sort(bracket)
	}
	w.buf = append(w.buf, bracket)
	return w
}

// raw writes JSON as it is, whether it is valid or not.
func (w *writer) raw(name, json string) *writer {
	w.name(name)
	w.buf = append(w.buf, json...)
	return w
}

func (w *writer) str(name, value string) *writer {
	w.name(name)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			// The error tells of invalid UTF-8, which was replaced.
			w.buf, _ = jsontext.AppendQuote(w.buf, value)
			return w
		}
	}
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, value...)
	w.buf = append(w.buf, '"')
	return w
}

func (w *writer) strOrNull(name string, value *string) *writer {
	if value == nil {
		return w.raw(name, "null")
	}
	return w.str(name, *value)
}

func (w *writer) num(name string, value int64) *writer {
	w.name(name)
	w.buf = strconv.AppendInt(w.buf, value, 10)
	return w
}

func (w *writer) numOrNull(name string, value *int64) *writer {
	if value == nil {
		return w.raw(name, "null")
	}
	return w.num(name, *value)
}

func (w *writer) flag(name string, value bool) *writer {
	w.name(name)
	w.buf = strconv.AppendBool(w.buf, value)
	return w
}

// object writes raw JSON, and an empty object for none.
func (w *writer) object(name string, json []byte) *writer {
	w.name(name)
	if json == nil {
		w.buf = append(w.buf, '{', '}')
	}
	w.buf = append(w.buf, json...)
	return w
}
