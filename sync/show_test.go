package sync_test

import (
	"fmt"
	"slices"

	clerksync "github.com/clerksync/clerksync/sync"
)

// String tells a history to whoever must understand a failure. All times are relative to [past].
func (h *history) String() string {
	s := fmt.Sprintf("%+v, clocks violated %t, several machines %t, skew %d", h.life, h.violated, h.machines, h.skew)
	for _, v := range h.versions {
		s += fmt.Sprintf("\n  Clerk from %s: %s", since(v.from), v)
	}
	for _, c := range h.clues {
		s += fmt.Sprintf("\n  at %s %s", since(c.arrived), c)
	}
	return s
}

func (c clue) String() string {
	if c.event {
		return fmt.Sprintf("event dated %s: %s", since(c.at), c.version)
	}
	return fmt.Sprintf("read started at %s (skewed %t, login %t) that saw Clerk at %s: %s", since(c.at), c.skewed, c.login, since(c.viewed), c.version)
}

func (v version) String() string {
	if !v.exists {
		return "gone"
	}
	return fmt.Sprintf("updated %s, content %d, look %d", since(v.updated), v.content, v.look)
}

func show(s clerksync.State) string {
	return fmt.Sprintf("{alive %s, updated %s, seen %s, content %d, dead %s, payload %d bytes}", since(s.Key.Alive), since(s.Key.Updated),
		since(s.Key.Seen), slices.Index(contents[:], s.Key.Hash), since(s.Dead), len(s.Payload))
}

func since(at int64) string {
	switch at {
	case clerksync.Never:
		return "never"
	case 0:
		return "no time"
	}
	return fmt.Sprint(at - past)
}
