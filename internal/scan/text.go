package scan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// replacement stands, as UTF-8 and as an escape, for what a text cannot hold.
const (
	replacement        = "\uFFFD"
	replacementEscaped = `\ufffd`
)

// String unquotes a JSON string. What Unicode text in a database cannot hold, \u0000 and surrogates without their other half,
// each become U+FFFD, the replacement character. It returns false if v is not exactly one JSON string in UTF-8.
func String(v []byte) (string, bool) {
	if len(v) < 2 || v[0] != '"' {
		return "", false
	}
	s := scanner{b: v}
	end, escaped := s.text(1)
	if end != len(v) {
		return "", false
	}
	body := v[1 : len(v)-1]
	if escaped {
		body = unescaped(body)
	}
	return string(body), true
}

// text reads a string whose opening quote stood before i, up to and with its closing quote.
func (s *scanner) text(i int) (end int, escaped bool) {
	start, wide := i, false
	for {
		i, wide = run(s.b, i, wide)
		if i == len(s.b) {
			return ^i, false
		}
		switch s.b[i] {
		case '"':
			if wide && !utf8.Valid(s.b[start:i]) {
				return ^start, false
			}
			return i + 1, escaped
		case '\\':
			escaped = true
			if i = s.escape(i); i < 0 {
				return i, false
			}
		default:
			return ^i, false
		}
	}
}

// Eight bytes at once: every byte of a word is tested by arithmetic on all of it.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// run returns the first index from i on of a quote, a backslash or a control character. wide is set, and stays set, if a byte on
// the way, or close behind, may not be ASCII.
func run(b []byte, i int, wide bool) (int, bool) {
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^'"'*ones, w^'\\'*ones
		// In each of the three terms the lowest marked byte is right; borrows may mark bytes above it wrongly.
		stop := ((quote-ones)&^quote | (slash-ones)&^slash | (w-' '*ones)&^w) & highs
		wide = wide || w&highs != 0
		if stop != 0 {
			return i + bits.TrailingZeros64(stop)>>3, wide
		}
	}
	for ; i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' '; i++ {
		wide = wide || b[i] >= utf8.RuneSelf
	}
	return i, wide
}

// escape reads the escape sequence that begins at i.
func (s *scanner) escape(i int) int {
	if i+1 == len(s.b) {
		return ^(i + 1)
	}
	switch s.b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		for n := i + 2; n < i+6; n++ {
			if n == len(s.b) || unhex[s.b[n]] < 0 {
				return ^n
			}
		}
		r, size := unicodeEscape(s.b[i:])
		if r == 0 {
			s.hazards |= NUL
		} else if utf16.IsSurrogate(r) {
			s.hazards |= Surrogate
		}
		return i + size
	}
	return ^(i + 1)
}

// unicodeEscape reads \uXXXX, and a second one that completes a surrogate pair, at the front of b. The first is known to be
// well formed; a surrogate that is returned stands alone.
func unicodeEscape(b []byte) (r rune, size int) {
	r = hex4(b[2:])
	if utf16.IsSurrogate(r) && len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(b[8:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return r, 6
}

// hex4 returns the value of four hexadecimal digits, or a negative one if they are not.
func hex4(b []byte) rune {
	_ = b[3]
	v := [4]rune{rune(unhex[b[0]]), rune(unhex[b[1]]), rune(unhex[b[2]]), rune(unhex[b[3]])}
	return v[0]<<12 | v[1]<<8 | v[2]<<4 | v[3]
}

// unhex is the value of a hexadecimal digit, -1 for any other byte.
var unhex = func() (table [256]int8) {
	for c := range table {
		table[c] = int8(bytes.IndexByte([]byte("0123456789abcdef"), byte(c)|0x20))
		if c < '0' {
			table[c] = -1
		}
	}
	return table
}()

// unescaped returns the text of a string's body, which is known to be well formed.
func unescaped(body []byte) []byte {
	if bytes.IndexByte(body, '\\') < 0 {
		return body
	}
	return unescape(make([]byte, 0, len(body)), body)
}

// unescape appends the text of a string's body, which is known to be well formed.
func unescape(dst, body []byte) []byte {
	for {
		i := bytes.IndexByte(body, '\\')
		if i < 0 {
			return append(dst, body...)
		}
		dst = append(dst, body[:i]...)
		body = body[i:]
		size := 2
		switch c := body[1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			var r rune
			if r, size = unicodeEscape(body); r == 0 {
				r = utf8.RuneError
			}
			dst = utf8.AppendRune(dst, r) // which writes U+FFFD for a surrogate
		default:
			dst = append(dst, c)
		}
		body = body[size:]
	}
}
