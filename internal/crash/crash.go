// Package crash turns panics into errors that tell where they happened, and never with what: the value of a panic may hold somebody's
// data, and a program that dies of one writes it to its log.
//
// Whoever starts a goroutine has it end here:
//
//	group.Go(crash.Contained(func() error { return d.poll(ctx) }))
package crash

import (
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Error is a panic that was contained.
type Error struct {
	What  string // what the runtime says, or else no more than the type of the value
	Where string // the function that panicked
	Line  string // the file, without its folder, and the line in it
	Stack string
}

// Error says what happened and where, on one line.
func (e *Error) Error() string { return "panic: " + e.What + " in " + e.Where + " (" + e.Line + ")" }

// Contain runs f and returns its error, which is an [*Error] if f panics.
func Contain(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = New(p)
		}
	}()
	return f()
}

// Contained returns a function that runs f as [Contain] does.
func Contained(f func() error) func() error {
	return func() error { return Contain(f) }
}

// New describes a panic. It must be called by the deferred function that recovered the value.
func New(recovered any) *Error {
	what := fmt.Sprintf("%T", recovered)
	if err, ok := recovered.(runtime.Error); ok {
		what = err.Error()
	}
	e := &Error{What: what, Stack: string(debug.Stack())}
	e.Where, e.Line = where()
	return e
}

// where finds the function that panicked: the first one that is not the runtime's, before those that recover.
func where() (function, line string) {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for panicked := false; ; {
		frame, more := frames.Next()
		inside := strings.HasPrefix(frame.Function, "runtime.")
		if panicked && !inside {
			return frame.Function[strings.LastIndexByte(frame.Function, '/')+1:], filepath.Base(frame.File) + ":" + strconv.Itoa(frame.Line)
		}
		panicked = panicked || inside
		if !more {
			return "a place unknown", "line unknown"
		}
	}
}
