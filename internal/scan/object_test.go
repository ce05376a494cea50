package scan_test

import (
	"errors"
	"testing"

	"github.com/clerksync/clerksync/internal/scan"
	"github.com/google/go-cmp/cmp"
)

// member is a scan.Member that is easily written and compared.
type member struct {
	Name, Value string
	Hazards     scan.Hazard
}

func members(b []byte) (all []member, err error) {
	err = scan.Object(b, func(m scan.Member) error {
		all = append(all, member{string(m.Name), string(m.Value), m.Hazards})
		return nil
	})
	return all, err
}

func TestObject(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, in string
		want     []member
	}{
		{"empty", `{}`, nil},
		{"empty with white space", " \t\r\n{ \t\r\n} \t\r\n", nil},
		{"scalars", `{"a":1,"b":"x","c":true,"d":false,"e":null,"f":-0.5e+10}`,
			[]member{{"a", `1`, 0}, {"b", `"x"`, 0}, {"c", `true`, 0}, {"d", `false`, 0}, {"e", `null`, 0}, {"f", `-0.5e+10`, 0}}},
		{"white space is trimmed outside, kept inside", ` { "a" : [ 1 , { } ] , "b" : 2 } `,
			[]member{{"a", `[ 1 , { } ]`, 0}, {"b", `2`, 0}}},
		{"nested", `{"a":{"b":[{"c":[]},[[]],{}],"d":"}]\""},"e":[{}]}`,
			[]member{{"a", `{"b":[{"c":[]},[[]],{}],"d":"}]\""}`, 0}, {"e", `[{}]`, 0}}},
		{"names are unescaped", `{"\u0069d":1,"":2,"a\"\\\/\b\f\n\r\tb":3,"\ud83d\ude00é":4}`,
			[]member{{"id", `1`, 0}, {"", `2`, 0}, {"a\"\\/\b\f\n\r\tb", `3`, 0}, {"😀é", `4`, 0}}},
		{"names may repeat", `{"a":1,"a":2}`, []member{{"a", `1`, 0}, {"a", `2`, 0}}},
		{"NUL", `{"a":"\u0000","b":{"\u0000":1},"\u0000":1,"d":"\\u0000","e":"\u0001"}`,
			[]member{{"a", `"\u0000"`, scan.NUL}, {"b", `{"\u0000":1}`, scan.NUL}, {"\uFFFD", `1`, scan.NUL}, {"d", `"\\u0000"`, 0}, {"e", `"\u0001"`, 0}}},
		{"surrogates", `{"a":"\ud800","b":["\uDFFF"],"c":"\ud83d\ude00","d":"\ud800\ud800\udc00","e":"\udc00\ud800","\ud800":1,"f":"\ud800\\udc00","g":"\ud800x"}`,
			[]member{{"a", `"\ud800"`, scan.Surrogate}, {"b", `["\uDFFF"]`, scan.Surrogate}, {"c", `"\ud83d\ude00"`, 0},
				{"d", `"\ud800\ud800\udc00"`, scan.Surrogate}, {"e", `"\udc00\ud800"`, scan.Surrogate}, {"\uFFFD", `1`, scan.Surrogate},
				{"f", `"\ud800\\udc00"`, scan.Surrogate}, {"g", `"\ud800x"`, scan.Surrogate}}},
		{"range", `{"a":1e400000,"b":[-1e309],"c":1e308,"d":1e-400,"e":0e9999999999,"f":1.8e308,"g":1e-1074,"h":1e-1075,"i":17976931348623157e292}`,
			[]member{{"a", `1e400000`, scan.Range}, {"b", `[-1e309]`, scan.Range}, {"c", `1e308`, 0}, {"d", `1e-400`, 0},
				{"e", `0e9999999999`, scan.Range}, {"f", `1.8e308`, scan.Range}, {"g", `1e-1074`, 0}, {"h", `1e-1075`, scan.Range}, {"i", `17976931348623157e292`, 0}}},
		{"twins inside", `{"a":{"b":1,"b":2},"c":{"b":1,"B":2},"d":[{"x":1},{"x":1}],"e":[[{"x":{"y":1},"z":0,"\u0078":2}]],"f":{"a":{"a":{"a":1}}}}`,
			[]member{{"a", `{"b":1,"b":2}`, scan.Twin}, {"c", `{"b":1,"B":2}`, 0}, {"d", `[{"x":1},{"x":1}]`, 0},
				{"e", `[[{"x":{"y":1},"z":0,"\u0078":2}]]`, scan.Twin}, {"f", `{"a":{"a":{"a":1}}}`, 0}}},
		{"hazards belong to their member", `{"a":"\u0000","b":1,"c":["\ud800",1e999,"\u0000",{"":1,"":1}],"d":2}`,
			[]member{{"a", `"\u0000"`, scan.NUL}, {"b", `1`, 0},
				{"c", `["\ud800",1e999,"\u0000",{"":1,"":1}]`, scan.NUL | scan.Surrogate | scan.Range | scan.Twin}, {"d", `2`, 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := members([]byte(test.in))
			if err != nil {
				t.Fatalf("Object(%s) = %v", test.in, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Object(%s) (-want +got):\n%s", test.in, diff)
			}
			checkOutline(t, []byte(test.in), got, err)
		})
	}
}

func TestObjectRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		want error
	}{
		{``, scan.ErrNotObject},
		{`  `, scan.ErrNotObject},
		{`[]`, scan.ErrNotObject},
		{`"{}"`, scan.ErrNotObject},
		{`null`, scan.ErrNotObject},
		{"\uFEFF{}", scan.ErrNotObject},
		{"\v{}", scan.ErrNotObject},
		{`{`, scan.SyntaxError{Offset: 1}},
		{`{"a"`, scan.SyntaxError{Offset: 4}},
		{`{"a":`, scan.SyntaxError{Offset: 5}},
		{`{"a":1`, scan.SyntaxError{Offset: 6}},
		{`{"a":1,`, scan.SyntaxError{Offset: 7}},
		{`{"a":1,}`, scan.SyntaxError{Offset: 7}},
		{`{,}`, scan.SyntaxError{Offset: 1}},
		{`{"a" 1}`, scan.SyntaxError{Offset: 5}},
		{`{"a"::1}`, scan.SyntaxError{Offset: 5}},
		{`{"a":1 "b":2}`, scan.SyntaxError{Offset: 7}},
		{`{"a":1]`, scan.SyntaxError{Offset: 6}},
		{`{a:1}`, scan.SyntaxError{Offset: 1}},
		{`{'a':1}`, scan.SyntaxError{Offset: 1}},
		{`{1:1}`, scan.SyntaxError{Offset: 1}},
		{`{}{}`, scan.SyntaxError{Offset: 2}},
		{`{} x`, scan.SyntaxError{Offset: 3}},
		{"{}\x00", scan.SyntaxError{Offset: 2}},
		{`{"a":[1,]}`, scan.SyntaxError{Offset: 8}},
		{`{"a":[,1]}`, scan.SyntaxError{Offset: 6}},
		{`{"a":[1}}`, scan.SyntaxError{Offset: 7}},
		{`{"a":{]}`, scan.SyntaxError{Offset: 6}},
		{`{"a":{"b"}}`, scan.SyntaxError{Offset: 9}},
		{`{"a":[[[`, scan.SyntaxError{Offset: 8}},
		{`{"a":01}`, scan.SyntaxError{Offset: 6}},
		{`{"a":-}`, scan.SyntaxError{Offset: 6}},
		{`{"a":-01}`, scan.SyntaxError{Offset: 7}},
		{`{"a":+1}`, scan.SyntaxError{Offset: 5}},
		{`{"a":.5}`, scan.SyntaxError{Offset: 5}},
		{`{"a":1.}`, scan.SyntaxError{Offset: 7}},
		{`{"a":1.e1}`, scan.SyntaxError{Offset: 7}},
		{`{"a":1e}`, scan.SyntaxError{Offset: 7}},
		{`{"a":1e+}`, scan.SyntaxError{Offset: 8}},
		{`{"a":1e1.5}`, scan.SyntaxError{Offset: 8}},
		{`{"a":0x10}`, scan.SyntaxError{Offset: 6}},
		{`{"a":1_0}`, scan.SyntaxError{Offset: 6}},
		{`{"a":NaN}`, scan.SyntaxError{Offset: 5}},
		{`{"a":Infinity}`, scan.SyntaxError{Offset: 5}},
		{`{"a":True}`, scan.SyntaxError{Offset: 5}},
		{`{"a":tru}`, scan.SyntaxError{Offset: 8}},
		{`{"a":nul`, scan.SyntaxError{Offset: 8}},
		{`{"a":truee}`, scan.SyntaxError{Offset: 9}},
		{`{"a":"\x"}`, scan.SyntaxError{Offset: 7}},
		{`{"a":"\u12g4"}`, scan.SyntaxError{Offset: 10}},
		{`{"a":"\u12`, scan.SyntaxError{Offset: 10}},
		{`{"a":"\ud800\u12g4"}`, scan.SyntaxError{Offset: 16}},
		{`{"a":"\`, scan.SyntaxError{Offset: 7}},
		{`{"a":"`, scan.SyntaxError{Offset: 6}},
		{"{\"a\":\"x\ny\"}", scan.SyntaxError{Offset: 7}},
		{"{\"a\":\"\x00\"}", scan.SyntaxError{Offset: 6}},
		{"{\"a\":\"0123456789abcdef\x1f\"}", scan.SyntaxError{Offset: 22}},
		{"{\"a\":\"01\x1f3456\",\"b\":\"long enough\"}", scan.SyntaxError{Offset: 8}},
		{"{\"a\":\"0123456789abcdef\n\",\"b\":\"long enough\"}", scan.SyntaxError{Offset: 22}},
		{"{\"a\":\"\\u00\x111\"}", scan.SyntaxError{Offset: 10}},
		{"{\"a\x01\":1}", scan.SyntaxError{Offset: 3}},
		{"{\"a\":1,\u00a0\"b\":1}", scan.SyntaxError{Offset: 7}},
		{`{"a":1/**/}`, scan.SyntaxError{Offset: 6}},
		{"{\"a\":\"\xff\"}", scan.ErrEncoding},
		{"{\"\xc3\":1}", scan.ErrEncoding},
		{"{\"a\":\"\xed\xa0\x80\"}", scan.ErrEncoding},     // a surrogate
		{"{\"a\":\"\xc0\x80\"}", scan.ErrEncoding},         // an overlong NUL
		{"{\"a\":\"\xf4\x90\x80\x80\"}", scan.ErrEncoding}, // beyond U+10FFFF
		{"{\"a\":\"long enough for words \xe2\x82\"}", scan.ErrEncoding},
		{"{\"a\":1,\xff}", scan.ErrEncoding},
		{"[\xff]", scan.ErrEncoding},
		{"{\"a\":01,\"b\":\"\xff\"}", scan.ErrEncoding},
	} {
		if _, err := members([]byte(test.in)); !errors.Is(err, test.want) {
			t.Errorf("Object(%q) = %v, want %v", test.in, err, test.want)
		}
	}
}

func TestArray(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		want []string
		err  error
	}{
		{in: `[]`},
		{in: "\n[ ]\n"},
		{in: `[1]`, want: []string{`1`}},
		{in: ` [ {"id":"a"} , [ 1 , 2 ] ,"]",null ] `, want: []string{`{"id":"a"}`, `[ 1 , 2 ]`, `"]"`, `null`}},
		{in: `["\u0000",1e999]`, want: []string{`"\u0000"`, `1e999`}},
		{in: ``, err: scan.ErrNotArray},
		{in: `{}`, err: scan.ErrNotArray},
		{in: `1`, err: scan.ErrNotArray},
		{in: `[`, err: scan.SyntaxError{Offset: 1}},
		{in: `[1`, want: []string{`1`}, err: scan.SyntaxError{Offset: 2}},
		{in: `[1,]`, want: []string{`1`}, err: scan.SyntaxError{Offset: 3}},
		{in: `[1}`, want: []string{`1`}, err: scan.SyntaxError{Offset: 2}},
		{in: `[1 2]`, want: []string{`1`}, err: scan.SyntaxError{Offset: 3}},
		{in: `[1][`, want: []string{`1`}, err: scan.SyntaxError{Offset: 3}},
		{in: `[1,{"a":}]`, want: []string{`1`}, err: scan.SyntaxError{Offset: 8}},
		{in: "[1,\"\xff\"]", want: []string{`1`}, err: scan.ErrEncoding},
	} {
		var got []string
		err := scan.Array([]byte(test.in), func(elem []byte) error {
			got = append(got, string(elem))
			return nil
		})
		if !errors.Is(err, test.err) {
			t.Errorf("Array(%q) = %v, want %v", test.in, err, test.err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("Array(%q) (-want +got):\n%s", test.in, diff)
		}
		got = nil
		err = scan.Records([]byte(test.in), []string{"id"}, func(elem []byte, _ [][]byte) error {
			got = append(got, string(elem))
			return nil
		})
		if !errors.Is(err, test.err) {
			t.Errorf("Records(%q) = %v, want %v", test.in, err, test.err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("Records(%q) (-want +got):\n%s", test.in, diff)
		}
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		elem string
		want []string // of "id" and "at"; "" if there is none
	}{
		{`{"id":"a","at":1}`, []string{`"a"`, `1`}},
		{` { "at" : [ 1 ] , "x":{"id":7,"at":8}, "id" : {"id":"b"} } `, []string{`{"id":"b"}`, `[ 1 ]`}},
		{`{"id":"a","id":"b"}`, []string{`"b"`, ""}},
		{`{"i\u0064":"a","ID":"b","id ":"c","":"d","at":null}`, []string{"", `null`}},
		{`{}`, []string{"", ""}},
		{`[{"id":"a","at":1}]`, []string{"", ""}},
		{`"id"`, []string{"", ""}},
	} {
		n := 0
		in := `[{"id":0,"at":0},` + test.elem + `,{"at":0}]`
		err := scan.Records([]byte(in), []string{"id", "at"}, func(_ []byte, values [][]byte) error {
			if n++; n == 2 {
				if diff := cmp.Diff(test.want, []string{string(values[0]), string(values[1])}); diff != "" {
					t.Errorf("Records(%s) (-want +got):\n%s", in, diff)
				}
			}
			return nil
		})
		if err != nil || n != 3 {
			t.Errorf("Records(%s) = %v after %d elements", in, err, n)
		}
	}
}

// Whoever appends to what he was shown must not write into the input.
func TestVisitCannotGrowIntoTheInput(t *testing.T) {
	t.Parallel()
	in := []byte(`[{"a":1,"b":2},3]`)
	want := string(in)
	if err := scan.Array(in, func(elem []byte) error {
		_ = append(elem, '!')
		if elem[0] != '{' {
			return nil
		}
		return scan.Object(elem, func(m scan.Member) error {
			_, _ = append(m.Name, '!'), append(m.Value, '!')
			return nil
		})
	}); err != nil || string(in) != want {
		t.Errorf("the input became %s (%v)", in, err)
	}
}

func TestVisitEndsTheScan(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	n := 0
	if err := scan.Object([]byte(`{"a":1,"b":2,"c"`), func(scan.Member) error { n++; return enough }); err != enough || n != 1 {
		t.Errorf("Object = %v after %d members, want %v after 1", err, n, enough)
	}
	if err := scan.Array([]byte(`[1,2,3`), func([]byte) error { n++; return enough }); err != enough || n != 2 {
		t.Errorf("Array = %v after %d elements, want %v after 1", err, n-1, enough)
	}
	if err := scan.Records([]byte(`[1,2,3`), nil, func([]byte, [][]byte) error { n++; return enough }); err != enough || n != 3 {
		t.Errorf("Records = %v after %d elements, want %v after 1", err, n-2, enough)
	}
}
