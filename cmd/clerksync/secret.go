package main

import (
	"fmt"
	"io"
)

// secret is a text that must not be seen: however it is printed, logged or marshalled, it reads [redacted]. The text is behind a
// pointer, since fmt does not ask values in unexported fields how they want to be printed. The zero value is no secret.
type secret struct{ text *string }

const redacted = "[redacted]"

func newSecret(text string) secret { return secret{&text} }

// Format implements [fmt.Formatter], which covers every verb.
func (secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements [fmt.Stringer].
func (secret) String() string { return redacted }

// MarshalText implements [encoding.TextMarshaler], which JSON and slog ask for.
func (secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// set reports whether there is a secret.
func (s secret) set() bool { return s.text != nil }

// reveal returns the text itself, for the one place that needs it; "" if there is none.
func (s secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}
