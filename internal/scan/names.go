package scan

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode"
	"unicode/utf8"
)

// fewNames is how many names are compared one by one; more than that are sorted or hashed, so that no input costs quadratic time.
const fewNames = 64

// Names remembers the names of one object to find two that are equal under Unicode simple case folding, as [bytes.EqualFold]
// has it. Some decoders fold case and would read {"type":"user.updated","TYPE":"user.deleted"} as a deletion; an object that is
// going to be believed must not have such twins. The zero value has no names. Names is for one goroutine, is not to be copied
// once used, and keeps the slices it was given.
type Names struct {
	seen filter
	n    int
	few  [fewNames][]byte
	many map[string]struct{} // folded; nil while all names are ASCII and few
}

// Add returns [ErrTwin] if the name, unescaped and in UTF-8, or one that differs by case alone, was added before.
func (n *Names) Add(name []byte) error {
	if n.many == nil && (n.n == fewNames || !ascii(name)) {
		n.many = make(map[string]struct{}, 2*fewNames)
		for _, old := range n.few[:n.n] {
			n.many[string(fold(old))] = struct{}{}
		}
	}
	if n.many != nil {
		before := len(n.many)
		n.many[string(fold(name))] = struct{}{}
		if len(n.many) == before {
			return ErrTwin
		}
		return nil
	}
	if n.seen.add(name) && slices.ContainsFunc(n.few[:n.n], func(old []byte) bool { return bytes.EqualFold(old, name) }) {
		return ErrTwin
	}
	n.few[n.n] = name
	n.n++
	return nil
}

// twins tells whether two names are the same, byte for byte. It may reorder them.
func twins(names [][]byte) bool {
	if len(names) < 2 {
		return false
	}
	if len(names) > fewNames {
		slices.SortFunc(names, bytes.Compare)
		for i, name := range names[1:] {
			if bytes.Equal(name, names[i]) {
				return true
			}
		}
		return false
	}
	var seen filter
	for i, name := range names {
		if seen.add(name) && slices.ContainsFunc(names[:i], func(old []byte) bool { return bytes.Equal(old, name) }) {
			return true
		}
	}
	return false
}

// filter remembers a hash of each name, so that most names need not be compared at all.
type filter [8]uint64

// add returns false if the name was certainly not added before, in any ASCII case.
func (f *filter) add(name []byte) bool {
	h := hash(name)
	word, bit := &f[h>>6&7], uint64(1)<<(h&63)
	known := *word&bit != 0
	*word |= bit
	return known
}

// hash mixes a name's ends and its length; names that differ by ASCII case alone have the same.
func hash(name []byte) uint32 {
	const lower = 0x2020202020202020
	var head, tail uint64
	switch n := len(name); {
	case n >= 8:
		head, tail = binary.LittleEndian.Uint64(name), binary.LittleEndian.Uint64(name[n-8:])
	case n >= 4:
		head, tail = uint64(binary.LittleEndian.Uint32(name)), uint64(binary.LittleEndian.Uint32(name[n-4:]))
	case n > 0:
		head, tail = uint64(name[0])|uint64(name[n/2])<<8, uint64(name[n-1])
	}
	h := (head | lower) * 0x9E3779B97F4A7C15
	h = (h ^ h>>32 ^ (tail | lower) ^ uint64(len(name))<<56) * 0xD6E8FEB86659FD93
	return uint32(h >> 40)
}

func ascii(name []byte) bool {
	for _, c := range name {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold returns a form that is the same for names that differ by case alone: of the runes that fold to each other, the least.
func fold(name []byte) []byte {
	return bytes.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, name)
}
