package webhook

import (
	"strings"

	clerksync "github.com/clerksync/clerksync/sync"
)

// telling is one thing that a type of event tells: about an object of which kind, and how.
type telling struct {
	kind clerksync.Kind
	how  how
}

type how int

const (
	whole how = iota // data is the whole object
	gone             // the object with the id of data is gone
	user             // data.user is the whole user; it may be missing
)

// types says what Clerk's events tell; an entry with * stands for the types that have none of their own. An event of any other
// type is kept as ignored, without its body: there are some 45 documented types, the documents disagree, and Clerk adds more.
//
// A session tells about its user whatever becomes of itself: signing in moves last_sign_in_at, and no end of a session is the
// end of a user.
var types = map[string][]telling{
	"user.created": {{clerksync.Users, whole}},
	"user.updated": {{clerksync.Users, whole}},
	"user.deleted": {{clerksync.Users, gone}},
	"session.*":    {{clerksync.Users, user}},
}

func tellings(typ string) []telling {
	if t, ok := types[typ]; ok {
		return t
	}
	object, _, dotted := strings.Cut(typ, ".")
	if !dotted {
		return nil
	}
	return types[object+".*"]
}
