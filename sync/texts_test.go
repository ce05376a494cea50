package sync_test

import (
	"fmt"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/jmoiron/sqlx"

	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// TestTexts stores texts that mean something to JSON, to an array of PostgreSQL's or to SQL, together and each alone, and reads them back.
func TestTexts(t *testing.T) {
	t.Parallel()
	texts := []string{
		"", " ", "NULL", "null", "{}", "[]", `{"a","b"}`, "a,b", `"`, `""`, `\`, `\\`, `\"`, `a\nb`, "a\nb\tc\r\u0001\u007f", "'; --", "$1", "ü😀\u2028",
		`"quoted" \ and {braced}, all at once`,
	}
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		m := pinned(t, db)
		var batch []clerksync.Evidence
		want := map[string]string{}
		tell := func(id, text string) clerksync.Evidence {
			name, err := json.Marshal(text)
			if err != nil {
				t.Fatal(err)
			}
			want[id] = text
			return user{ID: id, Updated: past, Created: past, More: `,"username":` + string(name) + `,"public_metadata":{"text":` + string(name) + `}`}.told()
		}
		for i, text := range texts {
			batch = append(batch, tell(fmt.Sprint("user_together", i), text))
			apply(t, m, tell(fmt.Sprint("user_alone", i), text))
		}
		apply(t, m, batch...)
		for id, text := range want {
			u, err := m.User(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if u.PublicMetadata == nil {
				t.Fatalf("%s has no metadata", id)
			}
			var public struct {
				Text string `json:"text"`
			}
			if err := json.Unmarshal([]byte(*u.PublicMetadata), &public); err != nil {
				t.Fatal(err)
			}
			if u.Username == nil || *u.Username != text || public.Text != text {
				t.Errorf("%s: username %v, metadata %q; want %q", id, u.Username, public.Text, text)
			}
		}
	})
}
