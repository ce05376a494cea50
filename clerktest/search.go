package clerktest

import (
	"net/url"
	"strconv"
	"strings"
)

// parseSearch reads the searches: case-insensitive, partial matches.
func (l *listing) parseSearch(q url.Values) *apiError {
	for _, p := range []struct {
		name  string
		texts func(*user) []string
	}{
		{"query", (*user).texts},
		{"email_address_query", func(u *user) []string { return values(u.emails) }},
		{"phone_number_query", func(u *user) []string { return values(u.phones) }},
		{"username_query", func(u *user) []string { return present(u.username) }},
		{"name_query", (*user).names},
	} {
		if text := strings.ToLower(q.Get(p.name)); text != "" {
			l.matches = append(l.matches, func(u *user) bool { return anyContains(p.texts(u), text) })
		}
	}
	if text := q.Get("banned"); text != "" {
		banned, err := strconv.ParseBool(text)
		if err != nil {
			return errType("banned", "boolean")
		}
		l.matches = append(l.matches, func(u *user) bool { return u.banned == banned })
	}
	return l.parseProvider(q)
}

func (l *listing) parseProvider(q url.Values) *apiError {
	provider, ids := q.Get("provider"), q["provider_user_id"]
	switch {
	case provider == "" && len(ids) == 0:
		return nil
	case provider == "":
		return errMissingParam("provider")
	case len(ids) == 0:
		return errMissingParam("provider_user_id")
	case len(ids) > maxValues:
		return errTooOften("provider_user_id")
	}
	l.matches = append(l.matches, func(u *user) bool {
		for _, a := range u.accounts {
			for _, id := range ids {
				if provider == "oauth_google" && a.providerUserID == id {
					return true
				}
			}
		}
		return false
	})
	return nil
}

func anyContains(texts []string, part string) bool {
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), part) {
			return true
		}
	}
	return false
}

func values(list []identifier) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].value
	}
	return out
}

func present(texts ...*string) (out []string) {
	for _, text := range texts {
		if text != nil {
			out = append(out, *text)
		}
	}
	return out
}

// names returns first name, last name and both together.
func (u *user) names() []string {
	parts := present(u.firstName, u.lastName)
	return append(parts, strings.Join(parts, " "))
}

// texts returns everything that the parameter query looks at.
func (u *user) texts() []string {
	out := append(u.names(), u.id)
	out = append(out, present(u.username)...)
	for _, list := range [][]identifier{u.emails, u.phones, u.wallets} {
		out = append(out, values(list)...)
	}
	return out
}
