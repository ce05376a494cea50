package main

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"
)

// renewInterval is how late a file that has changed is noticed without a SIGHUP.
const renewInterval = 10 * time.Second

// renewal is a secret that comes from a file and is put to use without a restart when the file changes.
type renewal struct {
	name  string
	list  bool // several secrets, separated by commas
	read  func() (string, error)
	use   func(ctx context.Context, text string) error
	used  string // the text in use
	tried string // the last text that was refused
}

// renewals are those of the secrets that come from files. What was absent at the start stays absent: that is the configuration.
func (d *daemon) renewals(o *opened, reader *clerksync.Reader) (all []*renewal) {
	if o.handler != nil {
		all = append(all, &renewal{name: "CLERK_WEBHOOK_SIGNING_SECRET", list: true, used: strings.Join(reveal(d.signingSecrets), ","),
			use: func(_ context.Context, text string) error {
				secrets, err := parseSigning(text)
				if err != nil {
					return err
				}
				return o.handler.SetSecrets(reveal(secrets))
			}})
	}
	if reader != nil {
		all = append(all, &renewal{name: "CLERK_SECRET_KEY", used: d.secretKey.reveal(),
			use: func(ctx context.Context, text string) error {
				if err := checkKey(text); err != nil {
					return err
				}
				return reader.Rekey(ctx, text)
			}})
	}
	if d.adminToken.set() {
		all = append(all, &renewal{name: "CLERKSYNC_ADMIN_TOKEN", used: d.adminToken.reveal(),
			use: func(_ context.Context, text string) error {
				d.token.Store(&text)
				return nil
			}})
	}
	if len(o.outlet.signers) > 0 {
		all = append(all, &renewal{name: "CLERKSYNC_PUBLISH_SECRET", list: true, used: strings.Join(reveal(d.publishSecrets), ","),
			use: func(_ context.Context, text string) error {
				secrets, err := parsePublishing(text)
				if err != nil {
					return err
				}
				return o.outlet.setSecrets(reveal(secrets))
			}})
	}
	all = slices.DeleteFunc(all, func(r *renewal) bool {
		r.read = secretFile(r.name, r.list)
		return r.read == nil
	})
	if d.tlsCert != "" {
		all = append(all, &renewal{name: "CLERKSYNC_TLS_CERT", used: d.certificate.text, read: d.readCertificate, use: d.useCertificate})
	}
	return all
}

// secretFile returns a function that reads a secret from its file, or nil where the secret comes from the environment, which never
// changes. A list reads alike however its commas are spaced.
func secretFile(name string, list bool) func() (string, error) {
	for _, row := range table {
		if _, path := row.file(); row.name == name && path != "" {
			return func() (string, error) {
				text, _, err := row.read(nil)
				if list {
					text = spaces.ReplaceAllString(text, ",")
				}
				return text, err
			}
		}
	}
	return nil
}

var spaces = regexp.MustCompile(`\s*,\s*`)

// renew looks at the files now and then, and at once when an operator hangs up (SIGHUP).
func (d *daemon) renew(ctx context.Context, mirror *clerksync.Mirror, all []*renewal) error {
	ticker := time.NewTicker(renewInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-d.hangup:
			if len(all) == 0 {
				d.log.Warn("SIGHUP: no secret comes from a file, so there is none to read")
				continue
			}
			d.log.Info("SIGHUP: reading the secrets' files")
			for _, r := range all {
				r.tried = ""
			}
		}
		for _, r := range all {
			d.try(ctx, mirror, r)
		}
	}
}

// try puts a changed text to use. One that is refused changes nothing, and is not tried again until it changes, unless waiting may
// help.
func (d *daemon) try(ctx context.Context, mirror *clerksync.Mirror, r *renewal) {
	text, err := r.read()
	switch {
	case err == nil && (text == r.used || text == r.tried):
		return
	case err == nil:
		err = r.use(ctx, text)
	case r.tried == err.Error():
		return
	default:
		text = err.Error()
	}
	if err == nil {
		r.used, r.tried = text, ""
		d.metrics.renewals.WithLabelValues(r.name, "used").Inc()
		d.log.Info("a changed secret is in use", "name", r.name)
		d.record(ctx, mirror, r.name)
		return
	}
	if !errors.Is(err, clerksync.ErrUnavailable) {
		r.tried = text
	}
	d.metrics.renewals.WithLabelValues(r.name, "refused").Inc()
	d.log.Error("a changed secret is refused, and the old one stays in use", "name", r.name, "error", r.name+" "+err.Error())
}

// recordTime is how long the row of the audit log may take, also while the daemon stops: the secret is in use by then.
const recordTime = 5 * time.Second

func (d *daemon) record(ctx context.Context, mirror *clerksync.Mirror, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	entry := clerksync.AuditEntry{Action: clerksync.AuditReloaded, Source: clerksync.Upkeep, Detail: name}
	if err := mirror.Record(ctx, nil, entry); err != nil {
		d.log.Error("the audit log does not tell of the changed secret", "name", name, "error", err)
	}
}

// reveal returns the texts of secrets.
func reveal(secrets []secret) []string {
	texts := make([]string, len(secrets))
	for i, s := range secrets {
		texts[i] = s.reveal()
	}
	return texts
}
