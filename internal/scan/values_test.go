package scan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/clerksync/clerksync/internal/scan"
)

func TestString(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in, want string
		ok       bool
	}{
		{`""`, "", true},
		{`"user_1"`, "user_1", true},
		{`"Zoë 😀"`, "Zoë 😀", true},
		{`"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t", true},
		{`"\u00e9\u00E9\ud83d\ude00"`, "éé😀", true},
		{`"a\u0000b"`, "a\uFFFDb", true},
		{`"\ud800"`, "\uFFFD", true},
		{`"\udc00\ud800"`, "\uFFFD\uFFFD", true},
		{`"\ud800\ud83d\ude00"`, "\uFFFD😀", true},
		{`"\ud800\u0041"`, "\uFFFDA", true},
		{`"\ufffd\uffff"`, "\uFFFD\uFFFF", true},
		{"\"\x7f\"", "\x7f", true},
		{in: ``}, {in: `"`}, {in: `"\"`}, {in: `"a`}, {in: `a"`}, {in: `"a""`}, {in: `"a" `}, {in: ` "a"`}, {in: `null`}, {in: `1`},
		{in: `["a"]`}, {in: `"\u12"`}, {in: `"\a"`}, {in: "\"\n\""}, {in: "\"\xff\""}, {in: "\"\xed\xa0\x80\""},
	} {
		if got, ok := scan.String([]byte(test.in)); got != test.want || ok != test.ok {
			t.Errorf("String(%q) = %q, %t, want %q, %t", test.in, got, ok, test.want, test.ok)
		}
	}
}

func TestInt(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("0", 1_000_000)
	for _, test := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"0", 0, true}, {"-0", 0, true}, {"0.000", 0, true}, {"0e400000", 0, true}, {"-0.0e-99999999999999999999", 0, true},
		{"17", 17, true}, {"17.0", 17, true}, {"1.7e1", 17, true}, {"1.7E+1", 17, true}, {"170e-1", 17, true}, {"0.017e3", 17, true},
		{"-17", -17, true}, {"100", 100, true}, {"1e2", 100, true}, {"1700000000000", 1700000000000, true}, {"10203040.50e1", 102030405, true},
		{"9223372036854775807", 1<<63 - 1, true}, {"9223372036854775807.00", 1<<63 - 1, true}, {"922337203685477580.7e1", 1<<63 - 1, true},
		{"-9223372036854775808", -1 << 63, true}, {"9e18", 9e18, true},
		{"1" + zeros + "e-1000000", 1, true}, {"0." + zeros + "1e1000001", 1, true}, {"3." + zeros, 3, true},
		{in: "9223372036854775808"}, {in: "-9223372036854775809"}, {in: "18446744073709551615"}, {in: "18446744073709551616"},
		{in: "18446744073709551620"}, {in: "99999999999999999999"}, {in: "1e19"}, {in: "1e400000"}, {in: "1e99999999999999999999"}, {in: "1e18446744073709551617"}, {in: "10e-18446744073709551617"},
		{in: "1.5"}, {in: "0.1"}, {in: "17e-1"}, {in: "1e-1"}, {in: "1e-99999999999999999999"}, {in: "1" + zeros + "e-1000001"},
		{in: ""}, {in: "-"}, {in: "+1"}, {in: "01"}, {in: "1."}, {in: ".5"}, {in: "1e"}, {in: "1 "}, {in: " 1"}, {in: "1,"}, {in: "0x1"}, {in: "1_0"},
		{in: `"17"`}, {in: "null"}, {in: "true"}, {in: "[17]"},
	} {
		if got, ok := scan.Int([]byte(test.in)); got != test.want || ok != test.ok {
			t.Errorf("Int(%.40q) = %d, %t, want %d, %t", test.in, got, ok, test.want, test.ok)
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("9", 400)
	for _, test := range []struct{ in, want string }{
		{`{"a":[1,"b",true,null]}`, `{"a":[1,"b",true,null]}`},
		{` [ 1 , 2 ] `, ` [ 1 , 2 ] `},
		{`"a\u0000b"`, `"a\ufffdb"`},
		{`"\\u0000\u0000\\\u0000"`, `"\\u0000\ufffd\\\ufffd"`},
		{`"\ud800"`, `"\ufffd"`},
		{`"\ud83d\ude00\udead\u00e9\n"`, `"\ud83d\ude00\ufffd\u00e9\n"`},
		{`"\ud800\ud83d\ude00"`, `"\ufffd\ud83d\ude00"`},
		{`{"\u0000":{"\udfff":1},"b":"\u0000"}`, `{"\ufffd":{"\ufffd":1},"b":"\ufffd"}`},
		{`[1e400000,-1e400000,1e308,1e-400000,1e-400,"1e400000",` + long + `]`, `[null,null,1e308,null,1e-400,"1e400000",null]`},
		{`{"1e999":1e999}`, `{"1e999":null}`},
	} {
		if got := string(scan.Clean([]byte("x"), []byte(test.in))); got != "x"+test.want {
			t.Errorf("Clean(%s) = %s, want %s", test.in, got[1:], test.want)
		}
	}
}

func TestCompact(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{`{"a":[1,"b"]}`, `{"a":[1,"b"]}`},
		{" {\t\"a b\" :\r\n[ 1 , \"c \\\" d\" ] } ", `{"a b":[1,"c \" d"]}`},
	} {
		if got := string(scan.Compact([]byte("x"), []byte(test.in))); got != "x"+test.want {
			t.Errorf("Compact(%s) = %s, want %s", test.in, got[1:], test.want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	many := make([]string, 300)
	for n := range many {
		many[n] = "name" + strings.Repeat("x", n%20) + string(rune('a'+n/20))
	}
	for _, test := range []struct {
		what string
		in   []string
		twin bool // the last one is the first twin
	}{
		{"none", nil, false},
		{"different", []string{"", "a", "b", "ab", "ba", "aa"}, false},
		{"equal", []string{"a", "b", "a"}, true},
		{"empty", []string{"", ""}, true},
		{"case", []string{"type", "data", "TYPE"}, true},
		{"case in the middle", []string{"primary_EMAIL_address_id", "primary_phone_address_id", "primary_email_address_id"}, true},
		{"not letters", []string{"a[", "a{", "a@", "a`", "a_", "a\x7f"}, false},
		{"Kelvin", []string{"k", "\u212A"}, true},
		{"Kelvin first", []string{"\u212A", "x", "K"}, true},
		{"long s", []string{"users", "uſers"}, true},
		{"umlaut", []string{"Müller", "MÜLLER"}, true},
		{"sigma", []string{"σ", "ς"}, true},
		{"dotted i folds to nothing else", []string{"i", "İ", "ı", "ß", "ss"}, false},
		{"many", many, false},
		{"many, the first again", append(many[:len(many):len(many)], "NAMEA"), true},
		{"many, the last again", append(many[:len(many):len(many)], strings.ToUpper(many[len(many)-1])), true},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			var names scan.Names
			for n, name := range test.in {
				want := error(nil)
				if test.twin && n == len(test.in)-1 {
					want = scan.ErrTwin
				}
				if err := names.Add([]byte(name)); !errors.Is(err, want) {
					t.Fatalf("adding number %d, %q: %v, want %v", n, name, err, want)
				}
			}
		})
	}
}
