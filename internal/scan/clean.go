package scan

import (
	"bytes"
	"unicode/utf16"
)

// Clean appends v, which must be valid JSON, in a form that PostgreSQL's jsonb and SQLite store unless it is [Deep]: the escapes
// \u0000 and of surrogates without their other half become \ufffd, and numbers that are [Range] become null. Everything else
// stays as it was written. v may not overlap the room behind dst.
func Clean(dst, v []byte) []byte {
	s := scanner{b: v}
	done := 0 // v[:done] is in dst
	for i := 0; i < len(v); {
		start := i
		switch c := v[i]; {
		case c == '"':
			s.hazards = 0
			if i, _ = s.text(i + 1); i < 0 {
				return append(dst, v[done:]...)
			}
			if s.hazards != 0 {
				dst = cleanText(append(dst, v[done:start]...), v[start:i])
				done = i
			}
		case c == '-' || '0' <= c && c <= '9':
			s.hazards = 0
			if i = s.scalar(i); i < 0 {
				return append(dst, v[done:]...)
			}
			if s.hazards != 0 {
				dst = append(append(dst, v[done:start]...), "null"...)
				done = i
			}
		default:
			i++
		}
	}
	return append(dst, v[done:]...)
}

// cleanText appends a well-formed part of a string.
func cleanText(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return append(dst, text...)
		}
		size, clean := 2, true
		if text[i+1] == 'u' {
			var r rune
			r, size = unicodeEscape(text[i:])
			clean = r != 0 && !utf16.IsSurrogate(r)
		}
		if clean {
			dst = append(dst, text[:i+size]...)
		} else {
			dst = append(append(dst, text[:i]...), replacementEscaped...)
		}
		text = text[i+size:]
	}
}

// Compact appends v, which must be valid JSON, without the white space between its tokens. v may not overlap the room behind dst.
func Compact(dst, v []byte) []byte {
	s := scanner{b: v}
	done := 0 // v[:done] is in dst, less white space
	for i := 0; i < len(v); {
		switch c := v[i]; {
		case c == '"':
			if i, _ = s.text(i + 1); i < 0 {
				return append(dst, v[done:]...)
			}
		case isSpace(c):
			dst = append(dst, v[done:i]...)
			i = s.space(i)
			done = i
		default:
			i++
		}
	}
	return append(dst, v[done:]...)
}
