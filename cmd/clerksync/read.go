package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"
)

// flag is the name of a setting's flag: CLERKSYNC_POLL_INTERVAL is --poll-interval, CLERK_API_URL is --clerk-api-url.
func (s setting) flag() string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(s.name, "CLERKSYNC_"), "_", "-"))
}

// yesNo reports whether the setting's flag needs no value: --publish-data says yes.
func (s setting) yesNo() bool { return s.value == "false" }

// names are the environment variables that a setting is read from.
func (s setting) names() []string {
	if s.old == "" {
		return []string{s.name}
	}
	return []string{s.name, s.old}
}

// settingFlags are the flags of the settings within some scopes.
func settingFlags(within scope) []cli.Flag {
	var flags []cli.Flag
	for _, s := range table {
		if s.scope&within == 0 || s.secret {
			continue
		}
		if s.yesNo() {
			flags = append(flags, &cli.BoolFlag{Name: s.flag(), Usage: plain(s.meaning), Category: "Settings"})
			continue
		}
		flags = append(flags, &cli.StringFlag{
			Name: s.flag(), Usage: plain(s.meaning), DefaultText: s.value, Sources: cli.EnvVars(s.names()...), Category: "Settings",
		})
	}
	return flags
}

// secretsHelp tells of the settings within some scopes that are never flags, since anybody on the machine can read those.
func secretsHelp(within scope) string {
	var b strings.Builder
	for _, s := range table {
		if s.scope&within == 0 || !s.secret {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("From the environment alone, or from the file that NAME_FILE names:\n")
		}
		fmt.Fprintf(&b, "\n%s\n   %s", s.name, plain(s.meaning))
		if s.value != "" {
			fmt.Fprintf(&b, " (default: %s)", s.value)
		}
	}
	return b.String()
}

// plain takes the marks of Markdown out of a meaning.
func plain(meaning string) string { return strings.ReplaceAll(meaning, "`", "") }

// readSettings reads the settings within some scopes: from the flag, else the environment, else the secret's file, else the
// default. An empty value counts as none. Its error is all mistakes at once.
func readSettings(c *cli.Command, within scope) (settings, error) {
	s := settings{told: map[string]bool{}}
	var mistakes []error
	for _, row := range table {
		value, told, err := row.value, false, error(nil)
		if row.scope&within != 0 {
			value, told, err = row.read(c)
		}
		if err == nil && value != "" {
			err = row.set(&s, value)
		}
		if err != nil {
			mistakes = append(mistakes, mistake(row.name+" "+err.Error()))
		}
		s.told[row.name] = told
	}
	return s, errors.Join(append(mistakes, s.conflicts(within)...)...)
}

func (s setting) read(c *cli.Command) (value string, told bool, err error) {
	if s.yesNo() {
		if c.IsSet(s.flag()) {
			return strconv.FormatBool(c.Bool(s.flag())), true, nil
		}
		value = os.Getenv(s.name)
		return cmp.Or(value, s.value), value != "", nil
	}
	if !s.secret {
		if value = c.String(s.flag()); value != "" {
			return value, true, nil
		}
		return s.value, false, nil
	}
	given := s.given()
	switch {
	case len(given) == 0:
		return s.value, false, nil
	case len(given) > 1:
		return "", true, fmt.Errorf("is told by %s: leave one of them out", strings.Join(given, " and by "))
	}
	name, path := s.file()
	if path == "" {
		return strings.TrimSpace(os.Getenv(given[0])), true, nil
	}
	text, err := readBrief(path)
	if err != nil {
		return "", false, fmt.Errorf("cannot be read from the file that %s names: %w", name, withoutPath(err))
	}
	if value = strings.TrimSpace(text); value == "" {
		return "", true, fmt.Errorf("is blank in the file that %s names: write it there, or leave %s out", name, name)
	}
	return value, true, nil
}

// maxBrief is the size of the longest file of a secret or a certificate, since a device by mistake might have no end.
const maxBrief = 1 << 20

// readBrief reads such a file, less the byte order mark that some editors put before it.
func readBrief(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 { // the second read would find nothing, or never end
		return "", errors.New("it is a pipe, and is read more than once: write it to a file")
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxBrief+1))
	if err == nil && len(text) > maxBrief {
		err = errors.New("it is longer than 1 MiB")
	}
	return strings.TrimPrefix(string(text), "\ufeff"), err
}

// withoutPath takes the path out of an error, which is a secret where somebody mistook NAME_FILE for NAME.
func withoutPath(err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return at.Err
	}
	return err
}

// given are the environment variables that tell a secret, itself or its file. Blanks are no secret, and what two names tell alike is told
// once: environments that serve other programs, too, often have both.
func (s setting) given() (given []string) {
	var values []string
	for _, suffix := range []string{"", "_FILE"} {
		for _, name := range s.names() {
			if value := strings.TrimSpace(os.Getenv(name + suffix)); value != "" && !slices.Contains(values, value) {
				given, values = append(given, name+suffix), append(values, value)
			}
		}
	}
	return given
}

// file returns the path of the file that a secret is read from, and the variable that names it; both are empty if it is not.
func (s setting) file() (name, path string) {
	if given := s.given(); len(given) == 1 && strings.HasSuffix(given[0], "_FILE") {
		return given[0], os.Getenv(given[0])
	}
	return "", ""
}

// production reports whether the environment has a production instance's key. A command that does not use the key meets the same
// database as one that does.
func production() bool {
	at := slices.IndexFunc(table, func(row setting) bool { return row.name == "CLERK_SECRET_KEY" })
	key, _, err := table[at].read(nil) // a secret has no flag
	return err == nil && strings.HasPrefix(key, "sk_live_")
}

// conflicts are the mistakes that no single setting shows.
func (s *settings) conflicts(within scope) (mistakes []error) {
	if within&scopeDatabase != 0 && !s.told["DATABASE_URL"] && production() {
		mistakes = append(mistakes, mistake("DATABASE_URL must be set beside an sk_live_ key: postgres://… or sqlite:PATH"))
	}
	if within&scopePublish != 0 && s.signs() && len(s.publishSecrets) == 0 {
		mistakes = append(mistakes, mistake("CLERKSYNC_PUBLISH_SECRET must be set where CLERKSYNC_PUBLISH lists https://…: "+makeSecret))
	}
	if within&scopeServe == 0 {
		return mistakes
	}
	if !s.secretKey.set() && len(s.signingSecrets) == 0 {
		mistakes = append(mistakes, mistake("CLERK_SECRET_KEY or CLERK_WEBHOOK_SIGNING_SECRET must be set: with neither there is nothing to mirror"))
	}
	if s.secretKey.set() && len(s.signingSecrets) == 0 && s.pollInterval == 0 && s.schedule == "off" {
		mistakes = append(mistakes, mistake("CLERK_WEBHOOK_SIGNING_SECRET, CLERKSYNC_POLL_INTERVAL or CLERKSYNC_RECONCILE_SCHEDULE must be set otherwise: "+
			"without a secret, with 0 and off nothing ever feeds the mirror"))
	}
	if (s.tlsCert == "") != (s.tlsKey == "") {
		mistakes = append(mistakes, mistake("CLERKSYNC_TLS_CERT and CLERKSYNC_TLS_KEY must be set together"))
	}
	if !s.adminToken.set() && !listensOnLoopback(s.adminListen) {
		mistakes = append(mistakes, mistake("CLERKSYNC_ADMIN_TOKEN must be set where CLERKSYNC_ADMIN_LISTEN is not on loopback"))
	}
	return mistakes
}

// warnings tells of variables that look like ours and do nothing.
func warnings(environ []string, log *slog.Logger) {
	known := map[string]bool{}
	for _, row := range table {
		known[row.name] = true
		known[row.name+"_FILE"] = row.secret
	}
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case !strings.HasPrefix(name, "CLERKSYNC_") || known[name]:
		case name == "CLERKSYNC_LOGIN_MAX_AGE":
			log.Warn("this setting does nothing here: the login helper takes upsert.Config.MaxAge", "name", name)
		default:
			log.Warn("there is no such setting", "name", name)
		}
	}
}
