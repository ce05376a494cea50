package scan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/clerksync/clerksync/internal/scan"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// oracleDepth is where encoding/json gives up, and so cannot judge.
const oracleDepth = 10_000

func judgeable(b []byte) bool {
	return bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) < oracleDepth
}

// text turns a decoded string into what String returns: the standard library replaces lone surrogates already.
func text(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

// decoded is what encoding/json's tokens say about the members of an object. ok is false where it refuses.
func decoded(b []byte) (all []member, ok bool) {
	if !json.Valid(b) || !utf8.Valid(b) || bytes.TrimLeft(b, " \t\r\n")[0] != '{' {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, false
		}
		all = append(all, member{Name: text(name.(string)), Value: string(value)})
	}
	return all, true
}

// hazards judges a value slowly: NUL and lone surrogates by jsontext and the standard library, numbers by big arithmetic, twins by
// a map, depth by recursion.
func hazards(v []byte, depth int) (h scan.Hazard) {
	switch v[0] {
	case '"':
		return textHazards(v)
	case '[':
		var all []json.RawMessage
		_ = json.Unmarshal(v, &all)
		for _, elem := range all {
			h |= hazards(elem, depth+1)
		}
	case '{':
		seen := map[string]bool{}
		d := jsontext.NewDecoder(bytes.NewReader(v), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		_, _ = d.ReadToken()
		for d.PeekKind() == '"' {
			name, _ := d.ReadValue()
			h |= textHazards(name)
			s, _ := jsontext.AppendUnquote(nil, name)
			if s := text(string(s)); !seen[s] {
				seen[s] = true
			} else if depth < scan.MaxDepth {
				h |= scan.Twin
			}
			value, _ := d.ReadValue()
			h |= hazards(slices.Clone(value), depth+1)
		}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if far(string(v)) {
			h |= scan.Range
		}
		return h
	default:
		return 0
	}
	if depth >= scan.MaxDepth {
		h |= scan.Deep
	}
	return h
}

func textHazards(v []byte) (h scan.Hazard) {
	var s string
	_ = json.Unmarshal(v, &s)
	if strings.Contains(s, "\x00") {
		h |= scan.NUL
	}
	if err := (jsontext.NewDecoder(bytes.NewReader(v))).SkipValue(); err != nil { // strict about UTF-8, also when it is escaped
		h |= scan.Surrogate
	}
	return h
}

// far judges a number as PostgreSQL's numeric would: by the digits written out.
func far(num string) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(num), "e")
	_, decimals, _ := strings.Cut(mantissa, ".")
	e, err := strconv.Atoi(strings.TrimPrefix(exponent, "+"))
	if exponent != "" && err != nil || e > 1074 || len(decimals)-e > 1074 {
		return true
	}
	r, ok := new(big.Rat).SetString(num)
	if !ok {
		panic("not a number: " + num)
	}
	f, _ := new(big.Float).SetRat(r).Float64()
	return f-f != 0
}

func FuzzObject(f *testing.F) {
	for _, seed := range []string{user(1), `{"a":{"b":1,"b":2}}`, `{"a":"\u0000\ud800"}`, `{"a":[1e999,{"":[[]]}]} `, `{"a":"é"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := members(b)
		checkOutline(t, b, got, err)
		if !judgeable(b) {
			return
		}
		want, ok := decoded(b)
		if ok != (err == nil) {
			t.Fatalf("Object = %v, the standard library finds it valid: %t", err, ok)
		}
		if ok {
			checkMembers(t, got, want)
			return
		}
		if (err == scan.ErrEncoding) == utf8.Valid(b) {
			t.Errorf("Object = %v for an input of valid UTF-8: %t", err, utf8.Valid(b))
		}
		syntax := scan.SyntaxError{}
		if errors.As(err, &syntax) && (!wellBegun(b[:syntax.Offset]) || syntax.Offset < len(b) && wellBegun(b[:syntax.Offset+1])) {
			t.Errorf("the error at %d is not at the first byte that is wrong", syntax.Offset)
		}
	})
}

// wellBegun tells whether the standard library only misses the rest of an input, if anything.
func wellBegun(b []byte) bool {
	d := json.NewDecoder(bytes.NewReader(b))
	var v json.RawMessage
	if err := d.Decode(&v); err != nil {
		return err == io.EOF || err == io.ErrUnexpectedEOF
	}
	return d.Decode(&v) == io.EOF
}

// checkOutline holds Outline to what Object told of the same input.
func checkOutline(t *testing.T, b []byte, told []member, err error) {
	t.Helper()
	var got []member
	other := scan.Outline(b, func(m scan.Member) error {
		var whole []member
		if err := scan.Object(slices.Concat([]byte("{"), m.Whole, []byte("}")), func(m scan.Member) error {
			whole = append(whole, member{string(m.Name), string(m.Value), 0})
			return nil
		}); err != nil {
			return err
		}
		if m.Hazards != 0 || !cmp.Equal(whole, []member{{string(m.Name), string(m.Value), 0}}) {
			t.Errorf("Outline of %q visits %q with the hazards %b, as a whole %q", b, m.Name, m.Hazards, m.Whole)
		}
		got = append(got, whole...)
		return nil
	})
	want := slices.Clone(told)
	for i := range want {
		want[i].Hazards = 0
	}
	if other != err || !cmp.Equal(want, got) {
		t.Errorf("Outline(%q) = %v %v, Object %v %v", b, got, other, want, err)
	}
}

func checkMembers(t *testing.T, got, want []member) {
	for i := range min(len(got), len(want)) {
		want[i].Hazards = hazards([]byte(want[i].Value), 0)
		if strings.Contains(want[i].Name, "\uFFFD") { // which may have been a NUL or a surrogate in the name
			want[i].Hazards |= got[i].Hazards & (scan.NUL | scan.Surrogate)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func FuzzArray(f *testing.F) {
	f.Add([]byte(` [1, {"a":[]} ,"\ud800"] `))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got []string
		err := scan.Array(b, func(elem []byte) error { got = append(got, string(elem)); return nil })
		checkRecords(t, b, got, err)
		if !judgeable(b) {
			return
		}
		var want []json.RawMessage
		trimmed := bytes.TrimLeft(b, " \t\r\n")
		ok := json.Valid(b) && utf8.Valid(b) && trimmed[0] == '[' && json.Unmarshal(b, &want) == nil
		if ok != (err == nil) {
			t.Fatalf("Array = %v, the standard library finds it valid: %t", err, ok)
		}
		if !ok {
			return
		}
		if !slices.EqualFunc(want, got, func(w json.RawMessage, g string) bool { return string(w) == g }) {
			t.Errorf("Array found %q, want %q", got, want)
		}
	})
}

// checkRecords compares Records with Array and Object.
func checkRecords(t *testing.T, b []byte, want []string, wantErr error) {
	i := 0
	err := scan.Records(b, []string{"a", "id"}, func(elem []byte, values [][]byte) error {
		if i == len(want) || string(elem) != want[i] {
			t.Fatalf("Records found %q, which Array did not", elem)
		}
		i++
		var members [2][]byte
		_ = scan.Object(elem, func(m scan.Member) error {
			switch string(m.Name) {
			case "a":
				members[0] = m.Value
			case "id":
				members[1] = m.Value
			}
			return nil
		})
		if !bytes.Contains(elem, []byte(`\u`)) && (!bytes.Equal(values[0], members[0]) || !bytes.Equal(values[1], members[1])) {
			t.Errorf("of %q Records took %q, and Object %q", elem, values, members)
		}
		return nil
	})
	if i != len(want) || err != wantErr {
		t.Errorf("Records = %v after %d elements, Array = %v after %d", err, i, wantErr, len(want))
	}
}

func FuzzString(f *testing.F) {
	for _, seed := range []string{`""`, `"a\u0000b"`, `"\ud83d\ude00\ud83d"`, `"\ud800\ud83d\ude00"`, `"Zoë\n"`, `"\"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := scan.String(b)
		var want string
		valid := len(b) > 0 && b[0] == '"' && b[len(b)-1] == '"' && utf8.Valid(b) && json.Unmarshal(b, &want) == nil
		if ok != valid || got != text(want) {
			t.Errorf("String = %q, %t, want %q, %t", got, ok, text(want), valid)
		}
	})
}

func FuzzInt(f *testing.F) {
	for _, seed := range []string{"0", "-17.0", "1.7e1", "9223372036854775807", "-9223372036854775808", "1000e-3", "0.10e+1", "1e19"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := scan.Int(b)
		isNumber := json.Valid(b) && len(bytes.TrimSpace(b)) == len(b) && (b[0] == '-' || '0' <= b[0] && b[0] <= '9')
		if !isNumber {
			if ok {
				t.Errorf("Int = %d of no number", got)
			}
			return
		}
		if _, exponent, _ := strings.Cut(strings.ToLower(string(b)), "e"); len(exponent) > 5 {
			return // too much for big arithmetic
		}
		r, _ := new(big.Rat).SetString(string(b))
		if want := r.IsInt() && r.Num().IsInt64(); ok != want || ok && got != r.Num().Int64() {
			t.Errorf("Int = %d, %t, want %v", got, ok, r)
		}
	})
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{user(1), `{"a":["\u0000\ud800\ud83d\ude00",1e999,-1e-9999,{"\u0000":1}]}`, `"\\u0000"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		cleaned, compact := scan.Clean(nil, b), scan.Compact(nil, b) // of anything, without a panic
		if !json.Valid(b) || !utf8.Valid(b) {
			return
		}
		in, err := members(slices.Concat([]byte(`{"v":`), b, []byte(`}`)))
		out, err2 := members(slices.Concat([]byte(`{"v":`), cleaned, []byte(`}`)))
		if err != nil || err2 != nil {
			t.Fatalf("scanning the value: %v, cleaned: %v", err, err2)
		}
		if out[0].Hazards != in[0].Hazards&(scan.Deep|scan.Twin) {
			t.Errorf("Clean leaves hazards %b of %b", out[0].Hazards, in[0].Hazards)
		}
		if in[0].Hazards&^(scan.Deep|scan.Twin) == 0 && !bytes.Equal(cleaned, b) {
			t.Errorf("Clean changes a clean value to %q", cleaned)
		}
		var before, after any
		if out[0].Hazards == 0 && in[0].Hazards&scan.Range == 0 && json.Unmarshal(b, &before) == nil && json.Unmarshal(cleaned, &after) == nil {
			if diff := cmp.Diff(replaced(before), after); diff != "" {
				t.Errorf("Clean (-want +got):\n%s", diff)
			}
		}
		var want bytes.Buffer
		if err := json.Compact(&want, b); err != nil || want.String() != string(compact) {
			t.Errorf("Compact = %q, want %q (%v)", compact, want.String(), err)
		}
	})
}

// replaced is a decoded value with its NULs replaced.
func replaced(v any) any {
	switch v := v.(type) {
	case string:
		return text(v)
	case []any:
		for i := range v {
			v[i] = replaced(v[i])
		}
	case map[string]any:
		all := make(map[string]any, len(v))
		for name, value := range v {
			all[text(name)] = replaced(value)
		}
		return all
	}
	return v
}
