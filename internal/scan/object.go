package scan

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// What [Object], [Array] and [Names.Add] return for an input they refuse; see also [SyntaxError].
var (
	ErrNotObject = errors.New("not a JSON object")
	ErrNotArray  = errors.New("not a JSON array")
	ErrEncoding  = errors.New("invalid UTF-8")
	ErrTwin      = errors.New("two names are equal or differ by case alone")
)

// SyntaxError is returned for an input that breaks the grammar of RFC 8259.
type SyntaxError struct {
	Offset int // of the first byte, from 0, that valid JSON could not have there; the input's length if it ends too early
}

func (e SyntaxError) Error() string { return fmt.Sprintf("invalid JSON at byte %d", e.Offset) }

// Member is one name and value of an object.
type Member struct {
	Name    []byte // unescaped as by [String]
	Value   []byte // valid JSON as it was written, without white space around it
	Whole   []byte // name, colon and value as they were written
	Hazards Hazard // of Name and Value; 0 if both can be stored as they are
}

// Object calls visit for each member of b, in order. b must hold exactly one JSON object, with nothing but white space around
// it. Names may repeat; where that matters, visit hands them to [Names].
//
// It returns [ErrNotObject], [ErrEncoding], a [SyntaxError], or what visit returned, which ends the scan. Members are visited as
// they are found: what visit was told means nothing until Object has returned nil.
func Object(b []byte, visit func(Member) error) error {
	s := scanner{b: b}
	return s.object(visit)
}

// Outline does what Object does without looking for hazards, which takes half as long: all Hazards are 0.
func Outline(b []byte, visit func(Member) error) error {
	s := scanner{b: b, plain: true}
	return s.object(visit)
}

func (s *scanner) object(visit func(Member) error) error {
	i, more, err := s.enter('{', ErrNotObject)
	if err != nil {
		return err
	}
	for more {
		s.hazards = 0
		name, start := s.name(i)
		end := s.value(start)
		if end < 0 {
			return s.broken(end)
		}
		m := Member{Name: name, Value: s.b[start:end:end], Whole: s.b[i:end:end], Hazards: s.hazards}
		if s.plain {
			m.Name, m.Hazards = unescaped(name), 0
		}
		if err := visit(m); err != nil {
			return err
		}
		i, more = s.next(end, '}')
	}
	return s.leave(i)
}

// Array calls visit for each element of b, in order, as it was written but without white space around it. b must hold exactly
// one JSON array, with nothing but white space around it.
//
// It returns [ErrNotArray], [ErrEncoding], a [SyntaxError], or what visit returned, which ends the scan. Each element that visit
// sees is valid JSON, but what follows it may yet be refused.
func Array(b []byte, visit func(elem []byte) error) error {
	s := scanner{b: b, plain: true}
	i, more, err := s.enter('[', ErrNotArray)
	if err != nil {
		return err
	}
	for more {
		end := s.value(i)
		if end < 0 {
			return s.broken(end)
		}
		if err := visit(b[i:end:end]); err != nil {
			return err
		}
		i, more = s.next(end, ']')
	}
	return s.leave(i)
}

// Records calls visit for each element of b as [Array] does, with the values of some of its members: values[i] is that of the
// member names[i], the last one if the name repeats, and nil if there is none or the element is no object. A name is found only
// as it is given, not in another spelling with escapes. values is overwritten after visit returns.
func Records(b []byte, names []string, visit func(elem []byte, values [][]byte) error) error {
	s := scanner{b: b, plain: true}
	values := make([][]byte, len(names))
	i, more, err := s.enter('[', ErrNotArray)
	if err != nil {
		return err
	}
	for more {
		clear(values)
		end := s.record(i, names, values)
		if end < 0 {
			return s.broken(end)
		}
		if err := visit(b[i:end:end], values); err != nil {
			return err
		}
		i, more = s.next(end, ']')
	}
	return s.leave(i)
}

// record reads the value that begins at i and, if it is an object, takes the values of the named members.
func (s *scanner) record(i int, names []string, values [][]byte) int {
	if i == len(s.b) || s.b[i] != '{' {
		return s.value(i)
	}
	i = s.space(i + 1)
	more := i == len(s.b) || s.b[i] != '}'
	for more {
		name, start := s.name(i)
		end := s.value(start)
		if end < 0 {
			return end
		}
		for n := range names {
			if string(name) == names[n] {
				values[n] = s.b[start:end:end]
			}
		}
		if i, more = s.next(end, '}'); i < 0 {
			return i
		}
	}
	return i + 1
}

// enter reads up to the first member or element; more tells whether there is one, otherwise i is that of the closer.
func (s *scanner) enter(opener byte, other error) (i int, more bool, err error) {
	i = s.space(0)
	if i == len(s.b) || s.b[i] != opener {
		return i, false, s.refuse(other)
	}
	i = s.space(i + 1)
	return i, i == len(s.b) || s.b[i] != closerOf(opener), nil
}

// leave reads from the closer at i to the end of the input.
func (s *scanner) leave(i int) error {
	if i < 0 {
		return s.broken(i)
	}
	if i = s.space(i + 1); i != len(s.b) {
		return s.broken(^i)
	}
	return nil
}

// broken turns the negative result of a scan into an error.
func (s *scanner) broken(end int) error { return s.refuse(SyntaxError{Offset: ^end}) }

// refuse returns err, unless the input is not even text.
func (s *scanner) refuse(err error) error {
	if !utf8.Valid(s.b) {
		return ErrEncoding
	}
	return err
}
