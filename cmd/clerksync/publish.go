package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/feed"
	"github.com/clerksync/clerksync/feed/nats"
	"github.com/clerksync/clerksync/internal/loopback"
)

// destination is one of the URLs that CLERKSYNC_PUBLISH lists.
type destination struct {
	url  secret
	nats bool
	name string // of its relay
}

// hostSize is how many letters of a host stand in the name of its relay: all that it has room for, since a relay of another name begins anew.
const hostSize = 91

var (
	fragment = regexp.MustCompile(`^[A-Za-z0-9._-]{1,60}$`)
	unnamed  = regexp.MustCompile(`[^A-Za-z0-9._~:-]`) // what hosts may have and names of relays may not: other alphabets, and a zone's %
)

// parsePublish reads the URLs of the change feed's receivers.
func parsePublish(v string) (all []destination, err error) {
	names := map[string]bool{}
	for i, text := range strings.Split(v, ",") {
		t, err := parseDestination(strings.TrimSpace(text))
		if err == nil && names[t.name] {
			err = errors.New("must differ from the others, or have a name of its own after #")
		}
		if err != nil {
			return nil, fmt.Errorf("lists URLs, of which number %d %w", i+1, err)
		}
		names[t.name] = true
		all = append(all, t)
	}
	return all, nil
}

// parseDestination reads one URL. What follows # is the name of the relay. Without, the relay is called by the host, which tells no secret,
// and a digest of the whole, which tells two of one host apart.
func parseDestination(text string) (t destination, err error) {
	address, name, named := strings.Cut(text, "#")
	t = destination{url: newSecret(address), nats: strings.HasPrefix(address, "nats:") || strings.HasPrefix(address, "tls:")}
	check := feed.CheckURL
	if t.nats {
		check = nats.CheckURL
	}
	if err := check(address); err != nil {
		return t, err
	}
	if named && (!fragment.MatchString(name) || name == notifyRelay) {
		return t, errors.New("has a name after # that is not up to 60 letters, digits and -._")
	}
	if t.name = name; !named {
		u, err := url.Parse(address)
		if err != nil {
			return t, errors.New("is no URL")
		}
		u.User = nil // a new password is no new receiver
		sum := sha256.Sum256([]byte(u.String()))
		host := unnamed.ReplaceAllString(u.Hostname(), "-")
		t.name = host[:min(len(host), hostSize)] + "-" + hex.EncodeToString(sum[:4])
	}
	return t, nil
}

// plain reports whether what is sent may go over a network in the clear: nats:// encrypts only where the server asks for it, and who
// stands between can have it not ask.
func (t destination) plain() bool {
	u, err := url.Parse(t.url.reveal())
	return err != nil || u.Scheme == "nats" && !loopback.Is(u.Hostname())
}

// notifyRelay is the name of the relay to those who LISTEN.
const notifyRelay = "listen"

// outlet is the change feed with its receivers.
type outlet struct {
	feed    *feed.Feed
	pull    http.Handler // one for all requests, which take turns
	signers []*feed.HTTPReceiver
	closers []io.Closer
}

// close ends the receivers, once the feed has ended.
func (o *outlet) close() {
	for _, c := range o.closers {
		c.Close()
	}
}

// setSecrets replaces what the receivers sign with.
func (o *outlet) setSecrets(secrets []string) error {
	for _, r := range o.signers {
		if err := r.SetSecrets(secrets); err != nil {
			return err
		}
	}
	return nil
}

// openOutlet opens the receivers of the change feed and makes their relays.
func (s *settings) openOutlet(mirror *clerksync.Mirror, log *slog.Logger, observe func(feed.Delivery)) (o *outlet, err error) {
	o = &outlet{pull: feed.NewPull(feed.PullConfig{Mirror: mirror, Data: s.publishData, Initial: s.publishInitial})}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	var relays []feed.Relay
	for _, t := range s.publish {
		receiver, err := o.open(t, reveal(s.publishSecrets), log)
		if err != nil {
			return nil, err
		}
		relays = append(relays, feed.Relay{Name: t.name, Receiver: receiver, Data: s.publishData, Initial: s.publishInitial})
	}
	if receiver, err := feed.NewNotify(mirror); err == nil { // SQLite has no LISTEN
		relays = append(relays, feed.Relay{Name: notifyRelay, Receiver: receiver, Batch: feed.NotifyBatch})
	}
	o.feed, err = feed.New(feed.Config{Mirror: mirror, Relays: relays, Logger: log, Observe: observe})
	return o, err
}

func (o *outlet) open(t destination, secrets []string, log *slog.Logger) (feed.Receiver, error) {
	if t.nats {
		r, err := nats.Open(nats.Config{URL: t.url.reveal(), Logger: log})
		if err == nil {
			o.closers = append(o.closers, r)
		}
		return r, err
	}
	r, err := feed.NewHTTP(feed.HTTPConfig{URL: t.url.reveal(), Secrets: secrets})
	if err == nil {
		o.closers, o.signers = append(o.closers, r), append(o.signers, r)
	}
	return r, err
}

// signs reports whether one of the receivers wants signed messages.
func (s *settings) signs() bool {
	for _, t := range s.publish {
		if !t.nats {
			return true
		}
	}
	return false
}

// publishOnce delivers the changes that there are.
func (s *settings) publishOnce(ctx context.Context, mirror *clerksync.Mirror, log *slog.Logger) error {
	o, err := s.openOutlet(mirror, log, nil)
	if err != nil {
		return err
	}
	defer o.close()
	return o.feed.RunOnce(ctx)
}

// late returns how long ago the oldest change was made that a relay has not delivered yet.
func late(p feed.Position) time.Duration {
	if p.Oldest.IsZero() {
		return 0
	}
	return max(time.Since(p.Oldest), 0)
}
