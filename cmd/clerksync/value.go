package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/loopback"
	"github.com/clerksync/clerksync/reconcile"
)

// The checks of single values. Their errors end the sentence "NAME …" and never quote a secret.

func checkKey(v string) error {
	if !strings.HasPrefix(v, "sk_test_") && !strings.HasPrefix(v, "sk_live_") || strings.ContainsAny(v, " \t\r\n") {
		return errors.New("must start with sk_test_ or sk_live_: copy the secret key from the page API keys of Clerk's dashboard")
	}
	return nil
}

var (
	instanceID = regexp.MustCompile(`^ins_[A-Za-z0-9_]{1,100}$`)
	schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)
)

func checkInstance(v string) error {
	if !instanceID.MatchString(v) {
		return errors.New("must look like ins_…: Clerk's dashboard shows it under Settings")
	}
	return nil
}

func checkSchema(v string) error {
	if !schemaName.MatchString(v) || strings.HasPrefix(v, "pg_") || strings.HasPrefix(v, "sqlite") {
		return errors.New("must be lower-case letters, digits and underscores, at most 40, not beginning with a digit, pg_ or sqlite")
	}
	return nil
}

// parseSigning reads the secrets of the webhook endpoint.
func parseSigning(v string) ([]secret, error) {
	return parseSecrets(v, "copy the signing secret from the endpoint's page in Clerk's dashboard")
}

// parsePublishing reads the secrets that posts are signed with.
func parsePublishing(v string) ([]secret, error) { return parseSecrets(v, makeSecret) }

const makeSecret = "make one with echo whsec_$(openssl rand -base64 32)"

// parseSecrets splits secrets that sign or verify, and checks what those who use them will insist on. The advice says where to get one.
func parseSecrets(v, advice string) ([]secret, error) {
	texts := strings.Split(v, ",")
	all := make([]secret, len(texts))
	for i, text := range texts {
		text = strings.TrimSpace(text)
		all[i] = newSecret(text)
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
		if err != nil || len(key) < 24 {
			return nil, fmt.Errorf("must be whsec_ and base64 of at least 24 bytes, and number %d of %d is not: %s", i+1, len(all), advice)
		}
	}
	return all, nil
}

func checkAPIURL(v string) error {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.User != nil:
		return errors.New("must look like https://api.clerk.com")
	case u.Scheme == "http" && !loopback.Is(u.Hostname()):
		return errors.New("must start with https:// where it is not on this machine, since the secret key is sent there")
	}
	return nil
}

func checkAddress(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		return errors.New("must be HOST:PORT or :PORT")
	}
	return nil
}

func parseNetworks(v string) (all []netip.Prefix, err error) {
	for text := range strings.SplitSeq(v, ",") {
		text = strings.TrimSpace(text)
		if one, err := netip.ParseAddr(text); err == nil {
			return nil, fmt.Errorf("must be networks: write %s/%d for the one address", one, one.BitLen())
		}
		network, err := netip.ParsePrefix(text)
		if err != nil || network != network.Masked() {
			return nil, errors.New("must be networks such as 203.0.113.0/24 or 2001:db8::/32, separated by commas")
		}
		all = append(all, network)
	}
	return all, nil
}

func checkSchedule(v string) error {
	if err := reconcile.CheckSchedule(v); err != nil {
		return fmt.Errorf("is not usable: %w", err)
	}
	return nil
}

func checkPath(v string) error {
	if u, err := url.Parse(v); err != nil || !strings.HasPrefix(v, "/") || u.Path != v || path.Clean(v) != strings.TrimSuffix(v, "/") && v != "/" {
		return errors.New("must be a plain path such as /api/webhooks/clerk")
	}
	return nil
}

func checkChoice(v string, choices ...string) error {
	if !slices.Contains(choices, v) {
		return fmt.Errorf("must be one of %s", strings.Join(choices, ", "))
	}
	return nil
}

// parseChoice reads one of two words and reports whether it is the second.
func parseChoice(v, no, yes string) (bool, error) { return v == yes, checkChoice(v, no, yes) }

func parseInt(v string, least, most int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("must be a number from %d to %d", least, most)
	}
	return n, nil
}

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, errors.New("must be a duration such as 90s, 5m or 24h")
	}
	return d, nil
}

func parsePoll(v string) (time.Duration, error) {
	d, err := parseDuration(v)
	if err == nil && d > 0 && d < time.Second {
		return 0, errors.New("must be 0 or at least 1s")
	}
	return d, err
}

// parseRetention reads a duration in the terms of upkeep.Config and insists on a least age: younger events are what redeliveries are told
// apart by, and a younger session would come back when Clerk's sender replays its event.
func parseRetention(v string, least time.Duration) (time.Duration, error) {
	d, err := parseMargin(v)
	if err == nil && d > 0 && d < least {
		return 0, fmt.Errorf("must be 0 or at least %dh", least/time.Hour)
	}
	return d, err
}

func parsePayloads(v string) (clerksync.Payloads, error) {
	payloads, known := map[string]clerksync.Payloads{
		"quarantined": clerksync.PayloadsWaiting, "none": clerksync.PayloadsNone, "all": clerksync.PayloadsAll,
	}[v]
	if !known {
		return 0, checkChoice(v, "none", "quarantined", "all")
	}
	return payloads, nil
}

func parsePolicy(v string) (clerksync.Policy, error) {
	policies := []string{string(clerksync.Hide), string(clerksync.Anonymize), string(clerksync.Hard)}
	return clerksync.Policy(v), checkChoice(v, policies...)
}

// parseMargin reads a duration in the terms of the library, where zero means the default and less means none.
func parseMargin(v string) (time.Duration, error) {
	d, err := parseDuration(v)
	if err == nil && d == 0 {
		return -1, nil
	}
	return d, err
}

// parseReadMargin refuses what would date reads back by so much that they lose to all that is known, so that no pass deletes anybody.
func parseReadMargin(v string) (time.Duration, error) {
	d, err := parseMargin(v)
	if err == nil && d > time.Hour {
		return 0, errors.New("must be at most 1h, since no pass deletes anybody who was there within it")
	}
	return d, err
}

func parseLevel(v string) (level slog.Level, err error) {
	if err := checkChoice(v, "debug", "info", "warn", "error"); err != nil {
		return level, err
	}
	return level, level.UnmarshalText([]byte(v))
}
