package sync

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// needles are texts to look for in others. They are found by their first word, so that looking for thousands takes no longer than
// looking for one.
type needles struct {
	byWord map[string][]needle
}

// needle is a text as it may be spelt, and where in it its first word begins.
type needle struct {
	text []byte
	word int
}

// newNeedles prepares to look for texts, however JSON spells them. A text without a letter or digit cannot be looked for.
func newNeedles(texts []string) *needles {
	n := &needles{byWord: map[string][]needle{}}
	for _, s := range spellings(texts) {
		from, to := word([]byte(s), 0)
		if from == to {
			continue
		}
		first := s[from:to]
		n.byWord[first] = append(n.byWord[first], needle{[]byte(s), from})
	}
	return n
}

// spellings returns the texts as they are and as JSON writes them: with the least escaping, and in ASCII alone.
func spellings(texts []string) []string {
	all := slices.Clone(texts)
	for _, s := range texts {
		for _, spell := range []func([]byte, string) []byte{appendText, appendASCII} {
			quoted := spell(nil, s)
			all = append(all, string(quoted[1:len(quoted)-1]))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func appendASCII(dst []byte, s string) []byte {
	q := jsontext.Value(appendText(nil, s))
	if err := q.Format(jsontext.EscapeForHTML(true)); err != nil {
		return appendText(dst, s)
	}
	for _, r := range string(q) {
		switch {
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r))
		case r > 0xffff:
			r -= 0x10000
			dst = appendUnit(appendUnit(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
		default:
			dst = appendUnit(dst, r)
		}
	}
	return dst
}

func appendUnit(dst []byte, unit rune) []byte {
	return append(append(dst, `\u`...), strconv.FormatInt(int64(0x10000+unit), 16)[1:]...)
}

// in reports whether b contains one of the texts, and not only as a part of a longer word.
func (n *needles) in(b []byte) bool {
	for from, to := word(b, 0); from < to; from, to = word(b, to) {
		for _, needle := range n.byWord[string(b[from:to])] {
			start := from - needle.word
			if start < 0 || !bytes.HasPrefix(b[start:], needle.text) {
				continue
			}
			if needle.ends(b[start:]) && !(bytes.IndexByte(needle.text, '@') > 0 && inAddress(b[:start], b[start+len(needle.text):])) {
				return true
			}
		}
	}
	return false
}

// ends reports whether the needle, with which b begins, does not end within a word there.
func (n needle) ends(b []byte) bool {
	last, _ := utf8.DecodeLastRune(n.text)
	after, _ := utf8.DecodeRune(b[len(n.text):])
	return !inWord(last) || !inWord(after)
}

// inAddress reports whether what is between two texts is a part of a longer e-mail address: of jim.bob@example.com, or bob@example.com.au.
func inAddress(before, after []byte) bool {
	next, _ := utf8.DecodeRune(bytes.TrimLeft(after, ".-"))
	return len(before) > 0 && strings.IndexByte(".+-_%", before[len(before)-1]) >= 0 || inWord(next) && (after[0] == '.' || after[0] == '-')
}

// word finds the next word of b: letters and digits. It is empty at the end.
func word(b []byte, at int) (from, to int) {
	for from = at; from < len(b); {
		r, size := utf8.DecodeRune(b[from:])
		if inWord(r) {
			break
		}
		from += size
	}
	for to = from; to < len(b); {
		r, size := utf8.DecodeRune(b[to:])
		if !inWord(r) {
			break
		}
		to += size
	}
	return from, to
}

func inWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// telling leaves of texts those that tell a person: neither words that the mirror's own tables are full of, nor ids, which stay.
func telling(texts []string) []string {
	return slices.DeleteFunc(slices.Clone(texts), func(s string) bool {
		return utf8.RuneCountInString(s) < 3 || isWord(s) && vocabulary[s] || clerkID(s)
	})
}

// vocabulary are the words of the mirror's own.
var vocabulary = func() map[string]bool {
	words := map[string]bool{"active": true, "pending": true, "accepted": true}
	for _, status := range terminalStatuses {
		words[status] = true
	}
	for _, o := range []Outcome{Created, Updated, Refreshed, Deleted, Revived, Unchanged, Stale, Ignored, Deferred, Quarantined, ErasedOp, Suspicious} {
		words[string(o)] = true
	}
	for _, s := range []Source{Webhook, Reconcile, Delta, Login, Resync} {
		words[string(s)] = true
	}
	for _, k := range kinds {
		words[string(k.name)], words[k.singular] = true, true
		for _, c := range k.columns {
			words[c.name] = true
		}
	}
	return words
}()

// clerkID reports whether a text is the id of an object or a client of Clerk's.
func clerkID(s string) bool {
	prefix, rest, found := strings.Cut(s, "_")
	known := prefix == "client" || slices.ContainsFunc(kinds, func(k *kind) bool { return k.prefix == prefix+"_" })
	return found && known && strings.Trim(rest, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
