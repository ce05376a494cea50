package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// settings are what a process is told from outside. A command reads those that it uses (see [scope]); the others keep their
// defaults, unchecked.
type settings struct {
	secretKey        secret
	instanceID       string
	signingSecrets   []secret
	apiURL           string
	apiShare         int
	database         database
	schema           string
	unprepared       bool
	listen           string
	webhookPath      string
	tlsCert          string
	tlsKey           string
	allow            []netip.Prefix // whose requests the public listener takes; empty = everybody's
	adminListen      string
	adminToken       secret
	schedule         string
	pollInterval     time.Duration
	maxDeletes       int
	maxPercent       int
	holdDeletes      bool
	readMargin       time.Duration
	privateMetadata  bool
	kinds            []clerksync.Kind
	activity         clerksync.Activity
	eventPayloads    clerksync.Payloads
	deletePolicy     clerksync.Policy
	eraseAfter       time.Duration // in the terms of upkeep.Config, as are the three below
	eventRetention   time.Duration
	changeRetention  time.Duration
	sessionRetention time.Duration
	publish          []destination
	publishSecrets   []secret
	publishData      bool
	publishInitial   bool
	logLevel         slog.Level
	logFormat        string
	dryRun           bool // nothing is written, not even a pin; of a pass's order

	told map[string]bool // the names of those that were not left to their defaults

	net network
}

// network is what a process reaches others by, and is reached by. Its zero value is the machine's; the tests have one without sockets.
type network struct {
	listen func(ctx context.Context, network, address string) (net.Listener, error)
	clerk  http.RoundTripper
}

// live reports whether the key is a production instance's.
func (s *settings) live() bool { return strings.HasPrefix(s.secretKey.reveal(), "sk_live_") }

// limits are the size of the deletion guard.
func (s *settings) limits() clerksync.Limits {
	return clerksync.Limits{MaxDeletes: s.maxDeletes, MaxDeletePercent: s.maxPercent}
}

// scope is a set of settings; a command declares which it uses.
type scope uint

const (
	scopeLog      scope = 1 << iota // how to log
	scopeDatabase                   // where the mirror is
	scopeMirror                     // what it keeps
	scopeKinds                      // of that, which objects
	scopeClerk                      // how to read Clerk's API
	scopePass                       // how careful a pass is
	scopeGuard                      // the size of the deletion guard
	scopeErasure                    // what is left of what was deleted
	scopeUpkeep                     // what is cleared away, and when
	scopePublish                    // where changes go
	scopeServe                      // what the daemon does
)

// setting is a row of the table that feeds reading, --help and docs/operations.md.
type setting struct {
	name    string // the environment variable
	old     string // a name that older applications use for it
	value   string // the default
	secret  bool   // never a flag; also read from the file that NAME_FILE names
	scope   scope
	meaning string
	set     func(s *settings, value string) error
}

// table lists every setting that does something. The text of an error that set returns ends the sentence "NAME …".
var table = []setting{
	{name: "CLERK_SECRET_KEY", secret: true, scope: scopeClerk,
		meaning: "the key of Clerk's Backend API, `sk_test_…` or `sk_live_…`; without it `serve` takes webhooks alone and says so",
		set:     func(s *settings, v string) error { s.secretKey = newSecret(v); return checkKey(v) }},
	{name: "CLERK_INSTANCE_ID", scope: scopeClerk | scopeServe,
		meaning: "pins the mirror to a Clerk instance, `ins_…`; a key must be of that instance, and pins it by itself",
		set:     func(s *settings, v string) error { s.instanceID = v; return checkInstance(v) }},
	{name: "CLERK_WEBHOOK_SIGNING_SECRET", old: "CLERK_WEBHOOK_SECRET", secret: true, scope: scopeServe | scopePass,
		meaning: "one or several `whsec_…`, separated by commas; without it the webhook path answers 404 and `serve` polls",
		set:     func(s *settings, v string) (err error) { s.signingSecrets, err = parseSigning(v); return err }},
	{name: "CLERK_API_URL", value: "https://api.clerk.com", scope: scopeClerk,
		meaning: "the address of Clerk's Backend API; https unless it is on this machine, as the emulator is",
		set:     func(s *settings, v string) error { s.apiURL = v; return checkAPIURL(v) }},
	{name: "CLERKSYNC_API_SHARE", value: "50", scope: scopeClerk,
		meaning: "percent of Clerk's rate limit that passes may use; the rest is the product's",
		set:     func(s *settings, v string) (err error) { s.apiShare, err = parseInt(v, 1, 100); return err }},
	{name: "DATABASE_URL", value: "sqlite:clerksync.db", secret: true, scope: scopeDatabase,
		meaning: "`postgres://…` or `sqlite:PATH`; must be set beside an `sk_live_…` key",
		set:     func(s *settings, v string) (err error) { s.database, err = parseDatabase(v); return err }},
	{name: "CLERKSYNC_SCHEMA", value: "clerk", scope: scopeDatabase,
		meaning: "the PostgreSQL schema of the tables, or the prefix of their names on SQLite",
		set:     func(s *settings, v string) error { s.schema = v; return checkSchema(v) }},
	{name: "CLERKSYNC_DB_PREPARE", value: "auto", scope: scopeDatabase,
		meaning: "`off` = no prepared statements, for a PgBouncer in transaction mode that keeps none: before 1.21, and later ones with `max_prepared_statements` at 0",
		set:     func(s *settings, v string) (err error) { s.unprepared, err = parseChoice(v, "auto", "off"); return err }},
	{name: "CLERKSYNC_READ_MARGIN", value: "2m", scope: scopeMirror,
		meaning: "how far a read of Clerk is dated back, for clock error and stale answers, at most `1h`; `0s` only beside an emulator",
		set:     func(s *settings, v string) (err error) { s.readMargin, err = parseReadMargin(v); return err }},
	{name: "CLERKSYNC_RESOURCES", value: "users,organizations,memberships,invitations,sessions", scope: scopeMirror | scopeKinds,
		meaning: "what to mirror: `users`, and any of the others; `organizations` brings domains, roles and permissions, `invitations` those to the application and to organizations",
		set:     func(s *settings, v string) (err error) { s.kinds, err = parseResources(v); return err }},
	{name: "CLERKSYNC_SESSION_ACTIVITY", value: "coarse", scope: scopeMirror,
		meaning: "what sessions keep of device and place: `coarse` = device, browser, city and country; `full` = the IP address, too; `omit` = nothing",
		set:     func(s *settings, v string) (err error) { s.activity, err = parseActivity(v); return err }},
	{name: "CLERKSYNC_PRIVATE_METADATA", value: "omit", scope: scopeMirror,
		meaning: "`store` keeps private_metadata, of users and of all else that has it",
		set: func(s *settings, v string) (err error) {
			s.privateMetadata, err = parseChoice(v, "omit", "store")
			return err
		}},
	{name: "CLERKSYNC_EVENT_PAYLOADS", value: "quarantined", scope: scopeMirror,
		meaning: "which received events keep their content: `quarantined` = those in quarantine or waiting for their time, until then; `all` = as long as the event; `none`. Never mails, text messages, tokens and codes",
		set:     func(s *settings, v string) (err error) { s.eventPayloads, err = parsePayloads(v); return err }},
	{name: "CLERKSYNC_LISTEN", value: ":8080", scope: scopeServe,
		meaning: "the public listener: the webhook endpoint and nothing else",
		set:     func(s *settings, v string) error { s.listen = v; return checkAddress(v) }},
	{name: "CLERKSYNC_WEBHOOK_PATH", value: "/api/webhooks/clerk", scope: scopeServe,
		meaning: "the path of the webhook endpoint",
		set:     func(s *settings, v string) error { s.webhookPath = v; return checkPath(v) }},
	{name: "CLERKSYNC_TLS_CERT", scope: scopeServe,
		meaning: "a file with the certificate chain (PEM) of the public listener, which then speaks TLS; where a proxy does, leave it out",
		set:     func(s *settings, v string) error { s.tlsCert = v; return nil }},
	{name: "CLERKSYNC_TLS_KEY", scope: scopeServe,
		meaning: "the file with that certificate's key",
		set:     func(s *settings, v string) error { s.tlsKey = v; return nil }},
	{name: "CLERKSYNC_ALLOW", scope: scopeServe,
		meaning: "networks such as `203.0.113.0/24`, separated by commas, whose requests the public listener takes; others are answered 403. It looks at the connection alone, so behind a proxy it is the proxy that must choose",
		set:     func(s *settings, v string) (err error) { s.allow, err = parseNetworks(v); return err }},
	{name: "CLERKSYNC_ADMIN_LISTEN", value: "127.0.0.1:8081", scope: scopeServe,
		meaning: "the admin listener: health, metrics, status",
		set:     func(s *settings, v string) error { s.adminListen = v; return checkAddress(v) }},
	{name: "CLERKSYNC_ADMIN_TOKEN", secret: true, scope: scopeServe,
		meaning: "asked for by all of the admin listener but `/livez` and `/readyz`; must be set where that is not on loopback",
		set:     func(s *settings, v string) error { s.adminToken = newSecret(v); return nil }},
	{name: "CLERKSYNC_RECONCILE_SCHEDULE", value: "@nightly", scope: scopeServe,
		meaning: "cron expression (UTC) of the full pass; `@nightly` = between 3 and 4 at a minute drawn from the instance id; `off`",
		set:     func(s *settings, v string) error { s.schedule = v; return checkSchedule(v) }},
	{name: "CLERKSYNC_POLL_INTERVAL", value: "5m", scope: scopeServe,
		meaning: "how often a delta pass looks for what no webhook told; `0` = never",
		set:     func(s *settings, v string) (err error) { s.pollInterval, err = parsePoll(v); return err }},
	{name: "CLERKSYNC_MAX_DELETES", value: "500", scope: scopePass | scopeGuard,
		meaning: "guard: a pass that would delete more of a kind than this, or than the percentage below (but at least 10), deletes nothing of that kind; nor does one to which Clerk lists none at all of it",
		set:     func(s *settings, v string) (err error) { s.maxDeletes, err = parseInt(v, 1, 1<<31-1); return err }},
	{name: "CLERKSYNC_MAX_DELETE_PERCENT", value: "5", scope: scopePass | scopeGuard,
		meaning: "guard: percent of the visible rows",
		set:     func(s *settings, v string) (err error) { s.maxPercent, err = parseInt(v, 1, 100); return err }},
	{name: "CLERKSYNC_HOLD_DELETES", value: "off", scope: scopeServe,
		meaning: "`on` = when webhooks tell of more deletions within an hour than the guard allows, the rest waits for an operator's approval",
		set:     func(s *settings, v string) (err error) { s.holdDeletes, err = parseChoice(v, "off", "on"); return err }},
	{name: "CLERKSYNC_DELETE_POLICY", value: "anonymize", scope: scopeErasure,
		meaning: "what an erasure leaves: `anonymize` = ids and the date of creation; `hard` = the bare tombstone, and after 100 days nothing; `hide` = all of it, which is no erasure",
		set:     func(s *settings, v string) (err error) { s.deletePolicy, err = parsePolicy(v); return err }},
	{name: "CLERKSYNC_ERASE_AFTER", value: "24h", scope: scopeUpkeep,
		meaning: "how long a deleted object is only hidden, so that the deletion can be undone, before it is erased; `0` = not at all: it is erased at once, for good",
		set:     func(s *settings, v string) (err error) { s.eraseAfter, err = parseMargin(v); return err }},
	{name: "CLERKSYNC_EVENT_RETENTION", value: "720h", scope: scopeUpkeep,
		meaning: "how long received events are kept; `0` = for ever. Those in quarantine and those that wait for their time stay",
		set: func(s *settings, v string) (err error) {
			s.eventRetention, err = parseRetention(v, time.Hour)
			return err
		}},
	{name: "CLERKSYNC_CHANGE_RETENTION", value: "168h", scope: scopeUpkeep,
		meaning: "how long the rows of the change feed are kept, and four times as long until every relay has delivered them; `0` = for ever",
		set: func(s *settings, v string) (err error) {
			s.changeRetention, err = parseRetention(v, time.Hour)
			return err
		}},
	{name: "CLERKSYNC_PUBLISH", secret: true, scope: scopePublish,
		meaning: "where the change feed goes: one or several URLs, separated by commas: `https://…` for signed posts, `nats://HOST:4222/STREAM` for JetStream, each perhaps with a `#name`",
		set:     func(s *settings, v string) (err error) { s.publish, err = parsePublish(v); return err }},
	{name: "CLERKSYNC_PUBLISH_SECRET", secret: true, scope: scopePublish,
		meaning: "what posts are signed with: one or several `whsec_…`, separated by commas",
		set:     func(s *settings, v string) (err error) { s.publishSecrets, err = parsePublishing(v); return err }},
	{name: "CLERKSYNC_PUBLISH_DATA", value: "false", scope: scopePublish,
		meaning: "`true` adds to each change the object as it is when the change is sent; `false` = ids alone",
		set: func(s *settings, v string) (err error) {
			s.publishData, err = parseChoice(v, "false", "true")
			return err
		}},
	{name: "CLERKSYNC_PUBLISH_INITIAL", value: "false", scope: scopePublish,
		meaning: "`true` tells also of each object that a first pass found and that is older than the mirror",
		set: func(s *settings, v string) (err error) {
			s.publishInitial, err = parseChoice(v, "false", "true")
			return err
		}},
	{name: "CLERKSYNC_SESSION_RETENTION", value: "8760h", scope: scopeUpkeep,
		meaning: "how long sessions are kept after they have ended, and with them their rows in `sign_ins`; `0` = for ever",
		set: func(s *settings, v string) (err error) {
			s.sessionRetention, err = parseRetention(v, 2400*time.Hour)
			return err
		}},
	{name: "CLERKSYNC_LOG_LEVEL", value: "info", scope: scopeLog,
		meaning: "`debug`, `info`, `warn` or `error`",
		set:     func(s *settings, v string) (err error) { s.logLevel, err = parseLevel(v); return err }},
	{name: "CLERKSYNC_LOG_FORMAT", value: "auto", scope: scopeLog,
		meaning: "`text` or `json`; `auto` = text on a terminal, JSON otherwise",
		set:     func(s *settings, v string) error { s.logFormat = v; return checkChoice(v, "auto", "text", "json") }},
}
