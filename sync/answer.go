package sync

import (
	"bytes"

	"github.com/clerksync/clerksync/internal/scan"
)

// listed returns the array of a list's answer, which Clerk wraps in an object for some kinds.
func listed(body []byte) []byte {
	if bytes.HasPrefix(body, []byte("[")) { // most are: to find out by looking for data would read all of it
		return body
	}
	if data := member(body, "data"); data != nil {
		return data
	}
	return body
}

func intOr(v []byte, otherwise int64) int64 {
	if n, ok := scan.Int(v); ok {
		return n
	}
	return otherwise
}

// member returns the JSON of a member of an answer, or nil. Of half an answer it returns nothing.
func member(body []byte, name string) (value []byte) {
	err := scan.Outline(body, func(m scan.Member) error {
		if string(m.Name) == name {
			value = m.Value
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return value
}

func memberText(body []byte, name string) string {
	s, _ := scan.String(member(body, name))
	return s
}

// errorCode returns the code of the first error in one of Clerk's error answers.
func errorCode(body []byte) (code string) {
	_ = scan.Array(member(body, "errors"), func(elem []byte) error {
		if code == "" {
			code = memberText(elem, "code")
		}
		return nil
	})
	return code
}
