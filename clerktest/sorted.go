package clerktest

import (
	"cmp"
	"slices"
)

// mark is where a member of an unfinished object lies.
type mark struct {
	name  string
	end   int // of the member before it
	start int // after the comma
}

// sort brings the members of the object that is being closed into the order of
// their names. What a member holds is moved as it is, valid or not.
func (w *writer) sort(bracket byte) {
	from := w.opened[len(w.opened)-1]
	w.opened = w.opened[:len(w.opened)-1]
	marks := w.marks[from:]
	w.marks = w.marks[:from]
	if bracket == ']' || len(marks) < 2 {
		return
	}
	type piece struct {
		name string
		json []byte
	}
	first := marks[0].start
	text := slices.Clone(w.buf[first:])
	pieces := make([]piece, len(marks))
	for i, m := range marks {
		end := len(w.buf)
		if i+1 < len(marks) {
			end = marks[i+1].end
		}
		pieces[i] = piece{m.name, text[m.start-first : end-first]}
	}
	slices.SortStableFunc(pieces, func(a, b piece) int { return cmp.Compare(a.name, b.name) })
	w.buf = w.buf[:first]
	for i, p := range pieces {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = append(w.buf, p.json...)
	}
}
