package scan

// Hazard is a set of reasons for which valid JSON may not be storable as it is. The zero value is none.
type Hazard uint8

// The reasons.
const (
	NUL       Hazard = 1 << iota // \u0000 in a string or a name: jsonb refuses it
	Surrogate                    // a surrogate escape without its other half, as \ud800: jsonb refuses it
	Range                        // a number that float64 cannot hold, or that no float64 is written as: see outOfRange
	Deep                         // arrays and objects nested deeper than [MaxDepth]
	Twin                         // an object within the value, down to [MaxDepth], with two members of one name as [String] reads it
)

// MaxDepth is how deep a value may nest before it is [Deep]: a scalar is 0 deep, [] and {} are 1 deep. SQLite's JSON functions
// refuse more than 1000 levels, PostgreSQL's jsonb some 13,000 with the default max_stack_depth.
const MaxDepth = 512

// scanner walks one input. Its methods take the index to begin at and return the index after what they read, or ^i, which is
// negative, if the byte at i (or the input's end there) breaks the grammar. A negative index handed in comes back as it is.
type scanner struct {
	b       []byte
	plain   bool   // the caller wants no hazards
	hazards Hazard // met since the caller last cleared them
	levels  levels
	names   stack // so far in each open object, down to MaxDepth; a nil name opens one
}

// value reads the value that begins at i.
func (s *scanner) value(i int) int {
	var closer byte // of the innermost open level
	for depth := 0; i >= 0; {
		if i == len(s.b) {
			return ^i
		}
		more := false
		switch c := s.b[i]; c {
		case '{', '[':
			depth++
			closer = s.open(depth, c)
			i = s.space(i + 1)
			more = i == len(s.b) || s.b[i] != closer
		case '"':
			i, _ = s.text(i + 1)
		default:
			i = s.scalar(i)
		}
		for !more {
			if depth == 0 || i < 0 {
				return i
			}
			if i, more = s.next(i, closer); i >= 0 && !more {
				depth, closer, i = depth-1, s.close(depth), i+1
			}
		}
		if closer == '}' && i >= 0 {
			i = s.nestedName(i, depth)
		}
	}
	return i
}

// next reads what stands between the value that ended at i and the next one: a comma, or the closer, at whose index it stops.
func (s *scanner) next(i int, closer byte) (int, bool) {
	i = s.space(i)
	switch {
	case i == len(s.b):
		return ^i, false
	case s.b[i] == ',':
		return s.space(i + 1), true
	case s.b[i] == closer:
		return i, false
	}
	return ^i, false
}

// open enters a level, the first being 1, and returns its closer.
func (s *scanner) open(depth int, opener byte) (closer byte) {
	s.levels.set(depth, opener == '{')
	if depth > MaxDepth {
		s.hazards |= Deep
	} else if opener == '{' && !s.plain {
		s.names.push(nil)
	}
	return closerOf(opener)
}

// close leaves a level and returns the closer of the one around it, 0 for none.
func (s *scanner) close(depth int) (closer byte) {
	if depth <= MaxDepth && !s.plain && s.levels.object(depth) {
		names := s.names.all()
		n := len(names) - 1
		for names[n] != nil {
			n--
		}
		if s.hazards&Twin == 0 && twins(names[n+1:]) {
			s.hazards |= Twin
		}
		s.names.cut(n)
	}
	switch {
	case depth == 1:
		return 0
	case s.levels.object(depth - 1):
		return '}'
	}
	return ']'
}

// closerOf is the byte that ends what opener begins: in ASCII both pairs are two apart.
func closerOf(opener byte) byte { return opener + 2 }

// nestedName reads a name at the given depth, up to its value.
func (s *scanner) nestedName(i, depth int) int {
	name, i := s.name(i)
	if i >= 0 && depth <= MaxDepth && !s.plain {
		s.names.push(name)
	}
	return i
}

// name reads a member's name and the colon, up to the value.
func (s *scanner) name(i int) (name []byte, value int) {
	if i < 0 {
		return nil, i
	}
	if i == len(s.b) || s.b[i] != '"' {
		return nil, ^i
	}
	end, escaped := s.text(i + 1)
	if end < 0 {
		return nil, end
	}
	name = s.b[i+1 : end-1 : end-1]
	if escaped && !s.plain {
		name = unescaped(name)
	}
	if i = s.space(end); i == len(s.b) || s.b[i] != ':' {
		return nil, ^i
	}
	return name, s.space(i + 1)
}

// scalar reads a number, true, false or null.
func (s *scanner) scalar(i int) int {
	switch s.b[i] {
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	}
	end, exponent := number(s.b, i)
	if end >= 0 && (exponent || end-i >= farDigits) && outOfRange(s.b[i:end]) {
		s.hazards |= Range
	}
	return end
}

func (s *scanner) literal(i int, word string) int {
	for n := range len(word) {
		if i+n == len(s.b) || s.b[i+n] != word[n] {
			return ^(i + n)
		}
	}
	return i + len(word)
}

// space skips white space.
func (s *scanner) space(i int) int {
	for i < len(s.b) && s.b[i] <= ' ' && isSpace(s.b[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
