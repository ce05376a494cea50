package main_test

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"
)

var bubbleClock sync.Once

// useBubbleClock gives SQLite the clock of Go, which in a bubble is the bubble's. Only connections that are opened from now on have it.
func useBubbleClock(t *testing.T) {
	t.Helper()
	bubbleClock.Do(func() {
		sqlite.MustRegisterScalarFunction("strftime", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			if args[0] != "%Y-%m-%dT%H:%M:%fZ" || args[1] != "now" {
				return nil, fmt.Errorf("the bubble has no strftime(%v, %v)", args[0], args[1])
			}
			return time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), nil
		})
		sqlite.MustRegisterScalarFunction("julianday", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			if args[0] != "now" {
				return nil, fmt.Errorf("the bubble has no julianday(%v)", args[0])
			}
			return 2440587.5 + float64(time.Now().UnixMilli())/86_400_000, nil
		})
	})
}

func text(s *string) string {
	if s == nil {
		return "–"
	}
	return *s
}

// personOf tells what is compared of a user as Clerk tells him.
func personOf(t *testing.T, raw []byte) string {
	t.Helper()
	var u struct {
		First  *string `json:"first_name"`
		Last   *string `json:"last_name"`
		Banned bool    `json:"banned"`
	}
	if err := json.Unmarshal(raw, &u); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %s %t", text(u.First), text(u.Last), u.Banned)
}
