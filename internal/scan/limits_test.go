package scan_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/clerksync/clerksync/internal/scan"
	"github.com/google/go-cmp/cmp"
)

// nested is an object of one member that is depth levels deep, by arrays, objects or both in turn.
func nested(depth int, kinds string) []byte {
	var b, end bytes.Buffer
	for n := range depth {
		if kinds[n%len(kinds)] == '[' {
			b.WriteByte('[')
			end.WriteByte(']')
		} else {
			b.WriteString(`{"a":`)
			end.WriteByte('}')
		}
	}
	b.WriteString("0")
	closers := end.Bytes()
	for n := range closers {
		b.WriteByte(closers[len(closers)-1-n])
	}
	return []byte(`{"deep":` + b.String() + `,"after":1}`)
}

func TestDepth(t *testing.T) {
	t.Parallel()
	for _, kinds := range []string{"[", "{", "[{", "{{[", "[[[[[[[{"} {
		for _, depth := range []int{1, 63, 64, 65, scan.MaxDepth - 1, scan.MaxDepth, scan.MaxDepth + 1, scan.MaxDepth + 64, scan.MaxDepth + 129, 20_000, 174_000} {
			in := nested(depth, kinds)
			want := []member{{Name: "deep", Value: string(in[8 : len(in)-11])}, {Name: "after", Value: "1"}}
			if depth > scan.MaxDepth {
				want[0].Hazards = scan.Deep
			}
			if got, err := members(in); err != nil || !cmp.Equal(want, got) {
				t.Errorf("%d levels of %s: error %v, %d members", depth, kinds, err, len(got))
			}
			if i := len(in) - 12; in[i] == ']' || in[i] == '}' { // the outermost level, ended by the wrong closer
				in[i] ^= ']' ^ '}'
				if _, err := members(in); !errors.Is(err, scan.SyntaxError{Offset: i}) {
					t.Errorf("%d levels of %s, the last one closed wrongly: %v, want an error at %d", depth, kinds, err, i)
				}
			}
		}
	}
	open := bytes.Repeat([]byte("["), 1<<20)
	if err := scan.Array(open, nil); !errors.Is(err, scan.SyntaxError{Offset: 1 << 20}) {
		t.Errorf("1 MiB of [ = %v, want an error at its end", err)
	}
}

func TestTwinsAtMaxDepth(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		above int // levels
		value string
		want  scan.Hazard
	}{
		{scan.MaxDepth - 1, `{"a":1,"a":2}`, scan.Twin},
		{scan.MaxDepth, `{"a":1,"a":2}`, scan.Deep},
		{scan.MaxDepth - 2, `{"a":{"a":1}}`, 0},
		{scan.MaxDepth - 2, `{"a":{"b":1},"b":2}`, 0},
		{scan.MaxDepth - 2, `{"a":{"b":1},"b":2,"a":3}`, scan.Twin},
		{scan.MaxDepth - 1, `{"a":{"b":1,"b":2},"b":2}`, scan.Deep},
		{scan.MaxDepth - 1, `{"a":{"b":1,"b":2},"b":2,"a":3}`, scan.Deep | scan.Twin},
	} {
		got, err := members([]byte(`{"v":` + strings.Repeat("[", test.above) + test.value + strings.Repeat("]", test.above) + `}`))
		if err != nil || len(got) != 1 || got[0].Hazards != test.want {
			t.Errorf("%s below %d levels: error %v, %d members, want hazards %b", test.value, test.above, err, len(got), test.want)
		}
	}
}

// Objects of many names leave the fixed stacks, at every size around their borders.
func TestManyNames(t *testing.T) {
	t.Parallel()
	for _, size := range []int{2, 62, 63, 64, 65, 66, 127, 128, 129, 1000} {
		var names []string
		for n := range size {
			names = append(names, `"name`+strings.Repeat("x", n%30)+string(rune('a'+n%26))+strings.Repeat("y", n/26)+`":{"a":1,"b":[{"a":2,"b":3}]}`)
		}
		value := "{" + strings.Join(names, ",") + "}"
		got, err := members([]byte(`{"v":[` + value + `,` + value + `]}`))
		if err != nil || len(got) != 1 || got[0].Hazards != 0 {
			t.Errorf("%d names: error %v, members %v", size, err, len(got))
		}
		for _, twin := range []int{0, size / 2, size - 1} {
			value := "{" + strings.Join(append([]string{names[twin]}, names...), ",") + "}"
			got, err := members([]byte(`{"v":[` + value + `]}`))
			if err != nil || len(got) != 1 || got[0].Hazards != scan.Twin {
				t.Errorf("%d names, number %d twice: error %v, members %v", size, twin, err, len(got))
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	page := page(50)
	if allocs := testing.AllocsPerRun(10, func() { split(t, page) }); allocs != 0 {
		t.Errorf("a page of users costs %v allocations, want 0", allocs)
	}
	number, dst := []byte(`-1234567.0e1`), make([]byte, 0, 4096)
	one := []byte(user(1))
	if allocs := testing.AllocsPerRun(10, func() {
		scan.Int(number)
		scan.Clean(dst, one)
		scan.Compact(dst, one)
	}); allocs != 0 {
		t.Errorf("Int, Clean and Compact cost %v allocations, want 0", allocs)
	}
}
