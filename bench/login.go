package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sdk "github.com/clerk/clerk-sdk-go/v2"
	"github.com/jmoiron/sqlx"

	clerksync "github.com/clerksync/clerksync/sync"
	"github.com/clerksync/clerksync/upsert"
)

// The load of logins.
const (
	burstLogins = 10_000
	burstUsers  = 1_000
	seenLogins  = 1_000_000
)

// signIn is the order to sign users in who are no rows yet.
type signIn struct{ Database, URL, Key string }

// signedIn is what came of it.
type signedIn struct {
	Requests    int64   // for users, in the burst
	BurstMS     float64 // all first logins at once
	SeenNS      float64 // one more login of a session
	SeenAllocs  float64
	FreshMicros float64 // one more login without a session, so that the row is read
}

// signInAll is the role of an application that signs people in.
func signInAll(ctx context.Context, in *json.Decoder, out *json.Encoder) error {
	var order signIn
	if err := in.Decode(&order); err != nil {
		return err
	}
	db, err := sqlx.Open("postgres", order.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	mirror, err := clerksync.Open(ctx, db, clerksync.Config{ReadMargin: -1})
	if err != nil {
		return err
	}
	ids, err := someIDs(ctx, order)
	if err != nil {
		return err
	}
	var asked atomic.Int64
	api, err := clerksync.NewAPI(clerksync.APIConfig{SecretKey: order.Key, URL: order.URL, RateLimit: -1, Observe: func(endpoint string, _ int) {
		if strings.HasPrefix(endpoint, "/users") {
			asked.Add(1)
		}
	}})
	if err != nil {
		return err
	}
	logins, err := upsert.New(upsert.Config{Mirror: mirror, Clerk: api})
	if err != nil {
		return err
	}
	defer logins.Close()
	var s signedIn
	if s.BurstMS, err = burst(ctx, logins, ids); err != nil {
		return err
	}
	s.Requests = asked.Load()
	if err := s.again(ctx, logins, ids); err != nil {
		return err
	}
	return out.Encode(s)
}

// someIDs reads the ids of users from Clerk.
func someIDs(ctx context.Context, order signIn) (ids []string, err error) {
	w := walk{URL: order.URL, Key: order.Key, Scan: true}
	for last := ""; len(ids) < burstUsers; {
		page, err := w.ids(ctx, http.DefaultClient, &last)
		if err != nil {
			return nil, err
		}
		ids = append(ids, page...)
	}
	return ids[:burstUsers], nil
}

// burst signs all users in at once, each several times.
func burst(ctx context.Context, logins *upsert.Upserter, ids []string) (ms float64, err error) {
	errs := make([]error, burstLogins)
	var all sync.WaitGroup
	begun := time.Now()
	for i := range errs {
		all.Go(func() { _, errs[i] = logins.UpsertOnLogin(ctx, ids[i%len(ids)]) })
	}
	all.Wait()
	ms = time.Since(begun).Seconds() * 1000
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return ms, errs[i]
	}
	return ms, nil
}

// again signs a user in who is known.
func (s *signedIn) again(ctx context.Context, logins *upsert.Upserter, ids []string) error {
	begun := time.Now()
	for _, id := range ids {
		if _, err := logins.UpsertOnLogin(ctx, id); err != nil {
			return err
		}
	}
	s.FreshMicros = float64(time.Since(begun).Microseconds()) / float64(len(ids))
	claims := &sdk.SessionClaims{}
	claims.SessionID, claims.Subject = "sess_bench", ids[0]
	ctx = sdk.ContextWithSessionClaims(ctx, claims)
	if _, err := logins.UpsertOnLogin(ctx, ids[0]); err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun = time.Now()
	for range seenLogins {
		if _, err := logins.UpsertOnLogin(ctx, ids[0]); err != nil {
			return err
		}
	}
	s.SeenNS = float64(time.Since(begun).Nanoseconds()) / seenLogins
	runtime.ReadMemStats(&after)
	s.SeenAllocs = float64((after.Mallocs - before.Mallocs) / seenLogins)
	return nil
}

func loginScenarios() []scenario {
	return []scenario{{
		section: "login", name: "10,000 logins at once of 1,000 users, and logins of a session that was seen",
		text: "The burst meets an empty mirror on PostgreSQL. A fresh row is read by its id; a seen session is remembered.",
		contestants: []contestant{{ours, func(ctx context.Context, st *stage) (f figures, err error) {
			if err := st.template(ctx, "empty", nil); err != nil {
				return nil, err
			}
			c, err := st.emulate(ctx, burstUsers, false)
			if err != nil {
				return nil, err
			}
			url, drop, err := st.database(ctx, "empty")
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, drop()) }()
			role, err := start(ctx, "login", signIn{Database: url, URL: c.URL, Key: c.Key})
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, role.stop()) }()
			var s signedIn
			if err := role.hear(&s); err != nil {
				return nil, err
			}
			return figures{
				{"burst ms", s.BurstMS}, {"requests for users", float64(s.Requests)}, {"fresh row µs", s.FreshMicros},
				{"seen session µs", s.SeenNS / 1000}, {"allocations, seen session", s.SeenAllocs},
			}, nil
		}}},
		goals: []goal{
			{figure: "requests for users", of: ours, most: burstUsers}, {figure: "seen session µs", of: ours, most: 1},
			{figure: "allocations, seen session", of: ours, most: 0.5},
		},
	}}
}
