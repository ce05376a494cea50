package crash_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/clerksync/clerksync/internal/crash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestContain has functions panic with somebody's name, and with what the runtime makes.
func TestContain(t *testing.T) {
	t.Parallel()
	var names map[string]string
	var nobody *struct{ name string }
	for want, f := range map[string]func() error{
		"panic: string in crash_test.TestContain.":                               func() error { panic("Canaria") },
		"panic: *errors.errorString in crash_test.TestContain.":                  func() error { panic(errors.New("Canaria")) },
		"panic: assignment to entry in nil map in crash_test.":                   func() error { names["Canaria"] = ""; return nil },
		"panic: runtime error: index out of range [7] with length 0 in crash_te": func() error { _ = []string{}[len("Canaria")]; return nil },
		"panic: runtime error: invalid memory address or nil pointer dereferenc": func() error { return errors.New(nobody.name) },
		"panic: *fmt.wrapError in crash_test.deeper (crash_test.go:":             func() error { return deeper() },
	} {
		err := crash.Contained(f)()
		var panicked *crash.Error
		if !errors.As(err, &panicked) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s…", err, want)
			continue
		}
		if whole := err.Error() + panicked.Stack; strings.Contains(whole, "Canaria") || !strings.Contains(whole, "crash_test.go:") {
			t.Errorf("it must tell where, and not with what: %s", whole)
		}
	}
	failed := errors.New("an error")
	if err := crash.Contain(func() error { return failed }); err != failed {
		t.Errorf("%v, want the function's own error", err)
	}
	if err := crash.Contain(func() error { return nil }); err != nil {
		t.Errorf("%v, want none", err)
	}
}

func deeper() error {
	panic(fmt.Errorf("of %w", errors.New("Canaria")))
}
