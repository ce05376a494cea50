package clerktest

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The documented bounds of GET /v1/users.
const (
	defaultLimit = 10
	maxLimit     = 500
	maxValues    = 100
)

// listing is the parsed query of GET /v1/users and GET /v1/users/count.
type listing struct {
	limit, offset int64
	after         string // starting_after
	order         string
	backwards     bool
	createdAfter  int64 // exclusive
	createdBefore int64 // exclusive
	chosen        []chosen
	matches       []func(*user) bool
	within        []string // ids of organizations, one of which has the user
	outside       []string // ids of organizations, none of which has him
}

// chosen is one repeatable parameter: users that carry one of these values.
type chosen struct {
	name   string
	values []string
}

// orders are the properties users can be sorted by.
var orders = []string{"created_at", "updated_at", "email_address", "web3wallet", "first_name", "last_name",
	"phone_number", "username", "last_active_at", "last_sign_in_at"}

// parseListing reads the parameters that the listing and the count share, and
// those of the listing alone.
func parseListing(q url.Values) (*listing, *apiError) {
	l := &listing{createdAfter: math.MinInt64, createdBefore: math.MaxInt64}
	for _, parse := range []func(url.Values) *apiError{l.parsePage, l.parseOrder, l.parseCursor, l.parseChosen, l.parseTimes, l.parseSearch} {
		if err := parse(q); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *listing) parsePage(q url.Values) *apiError {
	for _, p := range []struct {
		name          string
		value         *int64
		ifNone        int64
		lowest, upper int64
	}{{"limit", &l.limit, defaultLimit, 1, maxLimit}, {"offset", &l.offset, 0, 0, math.MaxInt64}} {
		*p.value = p.ifNone
		text := q.Get(p.name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errType(p.name, "integer")
		}
		if n < p.lowest || n > p.upper {
			return errValue(p.name, text)
		}
		*p.value = n
	}
	return nil
}

// parseOrder accepts "+created_at" as it is and as " created_at", which is how
// a plus sign arrives that was not escaped. Only the first order_by counts.
func (l *listing) parseOrder(q url.Values) *apiError {
	text := q.Get("order_by")
	if text == "" {
		text = "-created_at"
	}
	l.backwards = text[0] == '-'
	l.order = strings.TrimLeft(text[:1], "+- ") + text[1:]
	if !slices.Contains(orders, l.order) {
		return errValue("order_by", text)
	}
	return nil
}

func (l *listing) parseCursor(q url.Values) *apiError {
	l.after = q.Get("starting_after")
	switch {
	case l.after == "":
	case l.order != "created_at":
		return errConflict("starting_after", "order_by")
	case l.offset != 0:
		return errConflict("starting_after", "offset")
	}
	return nil
}

// parseChosen reads the repeatable parameters. Users and external ids may be
// excluded with a leading minus.
func (l *listing) parseChosen(q url.Values) *apiError {
	for _, name := range []string{byUserID, byExternalID, byEmail, byPhone, byUsername, byWallet, "organization_id"} {
		values := q[name]
		if len(values) > maxValues {
			return errTooOften(name)
		}
		signed := name == byUserID || name == byExternalID || name == "organization_id"
		include, exclude := splitSigned(name, values, signed)
		if name == "organization_id" {
			l.within, l.outside = include, exclude
			continue
		}
		if len(include) > 0 {
			l.chosen = append(l.chosen, chosen{name, include})
		}
		if len(exclude) > 0 {
			l.matches = append(l.matches, func(u *user) bool { return !carries(u, name, exclude) })
		}
	}
	return nil
}

func splitSigned(name string, values []string, signed bool) (include, exclude []string) {
	for _, value := range values {
		switch {
		case name == byEmail:
			include = append(include, strings.ToLower(value))
		case name == byPhone: // an unescaped plus arrives as a space
			include = append(include, "+"+strings.TrimLeft(value, "+ "))
		case signed && strings.HasPrefix(value, "-"):
			exclude = append(exclude, value[1:])
		case signed:
			include = append(include, strings.TrimLeft(value, "+ "))
		default:
			include = append(include, value)
		}
	}
	return include, exclude
}

func carries(u *user, name string, values []string) bool {
	if name == byUserID {
		return slices.Contains(values, u.id)
	}
	return slices.ContainsFunc(u.keys(), func(k key) bool { return k.name == name && slices.Contains(values, k.value) })
}

// parseTimes reads the windows, in milliseconds and exclusive.
func (l *listing) parseTimes(q url.Values) *apiError {
	lastActive := func(u *user) *int64 { return u.lastActiveAt }
	lastSignIn := func(u *user) *int64 { return u.lastSignInAt }
	for _, p := range []struct {
		name  string
		apply func(t int64)
	}{
		{"created_at_after", func(t int64) { l.createdAfter = t }},
		{"created_at_before", func(t int64) { l.createdBefore = t }},
		{"last_active_at_since", func(t int64) { l.between(lastActive, t-1, math.MaxInt64) }},
		{"last_active_at_after", func(t int64) { l.between(lastActive, t, math.MaxInt64) }},
		{"last_active_at_before", func(t int64) { l.between(lastActive, math.MinInt64, t) }},
		{"last_sign_in_at_after", func(t int64) { l.between(lastSignIn, t, math.MaxInt64) }},
		{"last_sign_in_at_before", func(t int64) { l.between(lastSignIn, math.MinInt64, t) }},
	} {
		text := q.Get(p.name)
		if text == "" {
			continue
		}
		t, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errType(p.name, "integer")
		}
		p.apply(t)
	}
	return nil
}

func (l *listing) between(property func(*user) *int64, after, before int64) {
	l.matches = append(l.matches, func(u *user) bool {
		t := property(u)
		return t != nil && *t > after && *t < before
	})
}

func (l *listing) match(u *user) bool {
	if u.createdAt <= l.createdAfter || u.createdAt >= l.createdBefore {
		return false
	}
	for _, matches := range l.matches {
		if !matches(u) {
			return false
		}
	}
	return true
}
