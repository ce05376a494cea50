package scan_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/clerksync/clerksync/internal/pgtest"
	"github.com/clerksync/clerksync/internal/scan"
	"github.com/jmoiron/sqlx"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// stores tells whether a database takes a value as JSON and can read its text back, member by member.
func stores(t *testing.T, db *sqlx.DB, value string) error {
	query := `select coalesce(max(length(value)), 0) from json_each(json($1))`
	if db.DriverName() != "sqlite" {
		query = `select coalesce(max(length(value)), 0) from jsonb_each_text(cast($1 as jsonb))`
	}
	var length int
	return db.GetContext(t.Context(), &length, query, value)
}

// What a hazard stands for is refused as it is, and taken when it was cleaned.
func TestHazardsAreRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, value := range []string{
		`"\u0000"`, `"\ud800"`, `"\udc00\ud800"`, `1e400000`, `1e131072`, `1e-16384`, `0e-16384`, `0e9999999999`,
		strings.Repeat("9", 131073), `0.` + strings.Repeat("0", 16383) + `1`,
	} {
		value = `{"a":` + value + `}`
		if stores(t, db, value) == nil {
			t.Errorf("%.40s is taken as it is", value)
		}
		if err := stores(t, db, string(scan.Clean(nil, []byte(value)))); err != nil {
			t.Errorf("%.40s is refused when cleaned: %v", value, err)
		}
	}
}

// Values that are not Deep are taken, also inside an object of Clerk's that is stored as a whole; far deeper ones are not.
func TestDepthOfDatabases(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		for _, kinds := range []string{"[", "{", "[{"} {
			if err := stores(t, db, string(nested(scan.MaxDepth, kinds))); err != nil {
				t.Errorf("%d levels of %s are refused: %v", scan.MaxDepth, kinds, err)
			}
			if stores(t, db, string(nested(20_000, kinds))) == nil {
				t.Errorf("20,000 levels of %s are taken", kinds)
			}
		}
	})
}

func TestCleanIsStorable(t *testing.T) {
	t.Parallel()
	pgtest.Both(t, func(t *testing.T, db *sqlx.DB) {
		random := rand.New(rand.NewPCG(1, 2))
		hazardous := 0
		for range 1500 {
			value := `{"a":` + hostile(random, 4) + `,"b":` + hostile(random, 4) + `}`
			all, err := members([]byte(value))
			if err != nil {
				t.Fatalf("%s: %v", value, err)
			}
			if (all[0].Hazards|all[1].Hazards)&^scan.Twin != 0 {
				hazardous++
			}
			if cleaned := scan.Clean(nil, []byte(value)); stores(t, db, string(cleaned)) != nil {
				t.Fatalf("%s is refused when cleaned to %s: %v", value, cleaned, stores(t, db, string(cleaned)))
			}
		}
		if hazardous < 500 {
			t.Errorf("only %d values had a hazard", hazardous)
		}
	})
}

// hostile makes up a value as an attacker would.
func hostile(r *rand.Rand, depth int) string {
	switch n := r.IntN(10); {
	case n < 2 && depth > 0:
		return `[` + hostile(r, depth-1) + ` , ` + hostile(r, depth-1) + `]`
	case n < 5 && depth > 0:
		return `{` + hostileText(r) + `:` + hostile(r, depth-1) + `,` + hostileText(r) + ` : ` + hostile(r, depth-1) + `}`
	case n < 7:
		return hostileText(r)
	case n < 9:
		return hostileNumber(r)
	}
	return []string{"true", "false", "null", "[]", "{}"}[r.IntN(5)]
}

func hostileText(r *rand.Rand) string {
	parts := []string{`\u0000`, `\ud800`, `\uDBFF`, `\udc00`, `\ud83d\ude00`, `\\`, `\"`, `\\u0000`, `\u0001`, `\u007f`, `\uffff`, `\n`, `\/`, `a`, `Zoë`, `😀`, "\x7f", "\u2028"}
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return `"` + b.String() + `"`
}

func hostileNumber(r *rand.Rand) string {
	digits := []string{"0", "1", "17", "9007199254740993", strings.Repeat("9", r.IntN(400)+1), strings.Repeat("1", r.IntN(140_000)+1)}[r.IntN(6)]
	decimals := []string{"", ".0", ".5", "." + strings.Repeat("0", r.IntN(1100)) + "1", "." + strings.Repeat("0", r.IntN(18_000)+1)}[r.IntN(5)]
	exponent := ""
	if r.IntN(2) == 0 {
		limits := []int{1, 10, 300, 400, 1074, 1075, 1100, 16_383, 16_384, 131_072, 1 << 31, 1 << 62}
		exponent = fmt.Sprintf("%c%s%d", "eE"[r.IntN(2)], []string{"", "+", "-"}[r.IntN(3)], r.IntN(limits[r.IntN(len(limits))]))
	}
	return []string{"", "-"}[r.IntN(2)] + digits + decimals + exponent
}
