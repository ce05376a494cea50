package scan

// The stacks of a scanner begin inside it, so that usual input allocates nothing, and move to the heap when they outgrow that.

// levels holds one bit for each open array or object, set if it is an object.
type levels struct {
	near [MaxDepth/64 + 1]uint64
	far  []uint64
}

// set notes what the level is. A level is set only after all levels above it.
func (l *levels) set(depth int, object bool) {
	word, bit := depth>>6, uint64(1)<<(depth&63)
	var at *uint64
	switch far := word - len(l.near); {
	case far < 0:
		at = &l.near[word]
	case far == len(l.far):
		l.far = append(l.far, 0)
		fallthrough
	default:
		at = &l.far[far]
	}
	if *at &^= bit; object {
		*at |= bit
	}
}

func (l *levels) object(depth int) bool {
	word := depth >> 6
	if word < len(l.near) {
		return l.near[word]>>(depth&63)&1 != 0
	}
	return l.far[word-len(l.near)]>>(depth&63)&1 != 0
}

// stack holds names.
type stack struct {
	n    int // names in few
	few  [fewNames][]byte
	many [][]byte // all names, once there were too many
}

func (s *stack) push(name []byte) {
	switch {
	case s.many != nil:
		s.many = append(s.many, name)
	case s.n < len(s.few):
		s.few[s.n] = name
		s.n++
	default:
		s.many = append(append(make([][]byte, 0, 4*fewNames), s.few[:]...), name)
	}
}

func (s *stack) all() [][]byte {
	if s.many != nil {
		return s.many
	}
	return s.few[:s.n]
}

// cut leaves the first n names.
func (s *stack) cut(n int) {
	if s.many != nil {
		s.many = s.many[:n]
	} else {
		s.n = n
	}
}
