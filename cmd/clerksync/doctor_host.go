package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/migrations"
)

// The checks of what is on this machine.

func (d *doctor) checkFeeders() {
	const check = "configuration"
	switch {
	case !d.secretKey.set():
		d.note(check, warned, "webhooks alone: no CLERK_SECRET_KEY", "set it, so that passes repair what webhooks lose and logins are fresh")
	case len(d.signingSecrets) == 0:
		d.note(check, warned, "passes alone: no CLERK_WEBHOOK_SIGNING_SECRET",
			"add an endpoint in Clerk's dashboard and set its secret, so that changes arrive within a second")
	default:
		d.note(check, fine, fmt.Sprintf("a secret key and %d signing secret(s)", len(d.signingSecrets)), "")
	}
	switch {
	case d.deletePolicy == clerksync.Hide:
		d.note("erasure", warned, "deleted people are hidden and never erased", "set CLERKSYNC_DELETE_POLICY to anonymize or hard, if the law asks for erasure")
	case d.eraseAfter < 0:
		d.note("erasure", warned, "a deletion is erased at once, and cannot be undone", "set CLERKSYNC_ERASE_AFTER to the time that you need to notice a mistake, such as 24h")
	default:
		d.note("erasure", fine, "deleted people are erased: CLERKSYNC_DELETE_POLICY="+string(d.deletePolicy), "")
	}
	if d.eventRetention < 0 {
		d.note("retention", warned, "the event log is kept for ever", "set CLERKSYNC_EVENT_RETENTION unless an auditor wants all of it")
	}
}

// checkReceivers looks at the ways to those who get the change feed. Only NATS may be reached without encryption: many a server does not
// offer it within a private network.
func (d *doctor) checkReceivers() {
	for _, t := range d.publish {
		if t.plain() {
			d.note("receivers", warned, t.name+" can be reached without encryption: changes and the password may travel in the clear",
				"write tls:// in place of nats:// in CLERKSYNC_PUBLISH, and let the server offer TLS")
			continue
		}
		d.note("receivers", fine, t.name+" is on this machine, or reached with encryption alone", "")
	}
}

// checkFiles looks at who else on this machine may read what is secret.
func (d *doctor) checkFiles() {
	files := map[string]string{}
	for _, row := range table {
		if name, path := row.file(); row.secret && path != "" {
			files[name] = path
		}
	}
	if d.tlsKey != "" {
		files["CLERKSYNC_TLS_KEY"] = d.tlsKey
	}
	if d.database.dialect == migrations.SQLite {
		files["DATABASE_URL"] = d.database.path
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		info, err := os.Stat(files[name])
		switch {
		case err != nil && name == "DATABASE_URL": // the database's own check tells
		case err != nil:
			d.note("files", failed, fmt.Sprintf("the file of %s cannot be looked at", name), "make it readable for clerksync's user")
		case info.Mode().Perm()&0o007 != 0:
			d.note("files", warned, fmt.Sprintf("everybody on this machine may open the file of %s", name), "chmod o= "+files[name])
		default:
			d.note("files", fine, "the file of "+name+" is not everybody's", "")
		}
	}
}

func (d *doctor) checkListeners(ctx context.Context) {
	const check = "listeners"
	switch token := d.adminToken.reveal(); {
	case listensOnLoopback(d.adminListen):
		d.note(check, fine, "the admin listener is on loopback", "")
	case len(token) < 20:
		d.note(check, warned, "the admin listener is open to the network behind a short token", "make one of 20 characters or more: openssl rand -base64 30")
	default:
		d.note(check, warned, "the admin listener is open to the network and speaks plain HTTP: its token can be overheard",
			"let a network policy or a firewall keep others than your monitoring away from "+d.adminListen)
	}
	loader := &daemon{settings: d.settings}
	switch certificates, err := loader.openTLS(ctx); {
	case err != nil:
		d.note(check, failed, err.Error(), "the file must hold the whole chain, the server's own certificate first")
	case certificates == nil:
		d.note(check, fine, "the public listener speaks plain HTTP: a proxy must end TLS before it", "")
	default:
		d.note(check, fine, "the public listener speaks TLS", "")
	}
	if len(d.allow) > 0 {
		d.note(check, fine, "the public listener takes requests from "+strings.Trim(fmt.Sprint(d.allow), "[]"), "")
	}
}
