package pgtest

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// Example stands in for a test in an example, which has none. The function that it returns ends it.
func Example() (t testing.TB, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &example{ctx: ctx}
	return e, func() {
		cancel()
		for len(e.ends) > 0 {
			last := len(e.ends) - 1
			f := e.ends[last]
			e.ends = e.ends[:last]
			f()
		}
	}
}

// example is what of a test this package and clerktest use.
type example struct {
	testing.TB // nil
	ctx        context.Context
	ends       []func()
}

func (e *example) Helper()                        {}
func (e *example) Context() context.Context       { return e.ctx }
func (e *example) Cleanup(f func())               { e.ends = append(e.ends, f) }
func (e *example) Fatal(args ...any)              { panic(fmt.Sprint(args...)) }
func (e *example) Fatalf(text string, arg ...any) { panic(fmt.Sprintf(text, arg...)) }
func (e *example) Error(args ...any)              { panic(fmt.Sprint(args...)) }

func (e *example) TempDir() string {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
