package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// pgbenchScript are the statements of the plain handler, about random users. It spares the handler's work and the network's, so
// it is what PostgreSQL can do at best with one event a transaction. The change is written by the statement that makes it, which
// spares another round trip.
func pgbenchScript(users int) string {
	now := "cast(floor(extract(epoch from clock_timestamp()) * 1000) as bigint)"
	values := map[string]string{
		"id": "concat('user_2benchbenchbenchbench', lpad(cast(:user as text), 8, '0'))", "first_name": "concat('Zoë ', cast(:n as text))",
		"last_name": "'Müller'", "username": "concat('user', cast(:user as text))", "external_id": "lpad(cast(:user as text), 8, '0')",
		"email": "concat('user.', cast(:user as text), '@example.com')", "email_verified": "true", "image_url": "'https://img.clerk.com/eyJ0eXBlIjoiZGVmYXVsdCJ9'",
		"public_metadata": "cast(cast(:data as json) -> 'public_metadata' as jsonb)", "unsafe_metadata": "cast(:metadata as jsonb)", "banned": "false", "locked": "false",
		"created_at": "'2023-11-14T22:13:20Z'", "updated_at": "clock_timestamp()", "last_sign_in_at": "clock_timestamp()", "last_active_at": "clock_timestamp()",
		"data": "cast(:data as jsonb)", "source": "'webhook'", "synced_at": "clock_timestamp()", "_alive_at": now, "_updated_at": now, "_seen_at": now,
		"_dead_at": "-9223372036854775808", "_hash": "''", "_was_visible": "false", "_version": "1", "_changed": "true",
	}
	upsert := fmt.Sprintf(upsertUser, "clerk.")
	for i, c := range userColumns {
		upsert = strings.Replace(upsert, fmt.Sprintf("$%d,", i+1), values[c]+",", 1)
		upsert = strings.Replace(upsert, fmt.Sprintf("$%d)", i+1), values[c]+")", 1)
	}
	event := strings.NewReplacer("$1", "concat('msg_', cast(:client_id as text), '_', cast(:n as text))", "$2", "'user.updated'", "$3", values["id"],
		"$4", "'"+instanceID+"'", "$5", "clock_timestamp()", "$6", "clock_timestamp()", "$7", "'updated'").Replace(fmt.Sprintf(insertEvent, "clerk."))
	change := fmt.Sprintf(`INSERT INTO clerk.changes (resource, object_id, op, version, initial, occurred_at, source)
SELECT 'users', %s, 'updated', _version, false, clock_timestamp(), 'webhook' FROM upserted`, values["id"])
	return fmt.Sprintf("\\set n :n + 1\n\\set user random(0, %d)\nBEGIN;\n%s;\nWITH upserted AS (%s)\n%s;\nCOMMIT;\n", users-1, event, upsert, change)
}

var tps = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)

// pgbench runs the script with as many clients as the plain handler has connections.
func pgbench(users int) func(context.Context, *stage) (figures, error) {
	return func(ctx context.Context, st *stage) (f figures, err error) {
		url, drop, err := postgres(ctx, st)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, drop()) }()
		script := filepath.Join(st.dir, "pgbench.sql")
		if err := os.WriteFile(script, []byte(pgbenchScript(users)), 0o644); err != nil {
			return nil, err
		}
		data := fmt.Sprintf(userJSON, 0, 0, time.Now().UnixMilli(), wholesome)
		cmd := st.cluster.Command("pgbench", "-n", "-M", "prepared", "-c", strconv.Itoa(connections), "-j", "2",
			"-T", strconv.Itoa(max(1, int((st.warm+st.span).Seconds()))), "-D", "n=0", "-D", "data="+data, "-D", "metadata="+wholesome, "-f", script, url)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("running pgbench: %w\n%s", err, out)
		}
		found := tps.FindSubmatch(out)
		if found == nil {
			return nil, fmt.Errorf("pgbench tells no tps:\n%s", out)
		}
		rate, err := strconv.ParseFloat(string(found[1]), 64)
		return figures{{"events/s", rate}}, err
	}
}
