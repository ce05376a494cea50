package webhook

import (
	"slices"
	"strconv"
	"strings"

	"github.com/clerksync/clerksync/internal/scan"
)

// tokens are the members of data that let whoever reads them in: an invitation's url holds the token that accepts it.
var tokens = []string{"url", "token", "ticket"}

// withoutTokens is the body of an event as it may wait on the disk: what is read of the envelope, and data less its tokens. Where
// the event can hold none, that is the body itself.
func withoutTokens(env envelope, body []byte) []byte {
	if object, _, _ := strings.Cut(env.typ, "."); !strings.HasSuffix(strings.ToLower(object), "invitation") {
		return body
	}
	kept := append([]byte(`{"type":`), strconv.Quote(env.typ)...)
	if env.instance != "" {
		kept = append(append(kept, `,"instance_id":`...), strconv.Quote(env.instance)...)
	}
	kept = append(strconv.AppendInt(append(kept, `,"timestamp":`...), env.occurred, 10), `,"data":{`...)
	comma := false
	err := scan.Object(env.data, func(m scan.Member) error {
		if slices.Contains(tokens, string(m.Name)) {
			return nil
		}
		if comma {
			kept = append(kept, ',')
		}
		comma = true
		kept = append(append(strconv.AppendQuote(kept, string(m.Name)), ':'), m.Value...)
		return nil
	})
	if err != nil { // data is no object, so it holds nothing that could be applied either
		return nil
	}
	return append(kept, "}}"...)
}
