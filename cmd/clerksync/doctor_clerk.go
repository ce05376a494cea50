package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	svix "github.com/svix/svix-webhooks/go"

	clerksync "github.com/clerksync/clerksync/sync"

	"github.com/clerksync/clerksync/internal/loopback"
)

// The checks of what is between Clerk and us: its answer to the key, its clock, and the way to the endpoint.

func (d *doctor) checkClerk(ctx context.Context) {
	const check = "Clerk"
	switch {
	case !d.secretKey.set():
		d.note(check, skipped, "there is no CLERK_SECRET_KEY", "")
		return
	case d.mirror == nil:
		d.note(check, skipped, "the tables cannot be looked at", "")
		return
	}
	api, err := d.openAPI(nil)
	if err != nil {
		d.note(check, failed, err.Error(), "correct CLERK_API_URL")
		return
	}
	id, err := clerksync.NewReader(d.mirror, api, clerksync.Login).AskInstance(ctx)
	if err != nil {
		d.note(check, failed, err.Error(), "look whether this machine reaches "+d.apiURL+", and whether Clerk's dashboard still has this key")
		return
	}
	pinned, err := d.mirror.Pinned(ctx)
	const advice = "correct the key, or give this instance a database or a CLERKSYNC_SCHEMA of its own"
	switch {
	case err != nil:
		d.note(check, failed, err.Error(), "")
	case pinned != "" && pinned != id:
		d.note(check, failed, fmt.Sprintf("the key belongs to %s, and the database mirrors %s", id, pinned), advice)
	case d.instanceID != "" && d.instanceID != id:
		d.note(check, failed, fmt.Sprintf("the key belongs to %s, and CLERK_INSTANCE_ID names %s", id, d.instanceID), advice)
	default:
		d.note(check, fine, "the key belongs to "+id, "")
	}
	d.checkClock()
}

func (d *doctor) checkClock() {
	const check = "clock"
	skew, excessive := d.mirror.Skew()
	found := fmt.Sprintf("Clerk's clock is %s ahead of ours", skew.Round(time.Second))
	switch {
	case excessive:
		d.note(check, failed, found+": reads prove nothing", "let this machine's clock follow a time server")
	case skew.Abs() > 5*time.Second:
		d.note(check, warned, found, "let this machine's clock follow a time server")
	default:
		d.note(check, fine, "it agrees with Clerk's", "")
	}
}

// checkEndpoint posts to the endpoint as Clerk would: once unsigned, and once signed with each secret.
func (d *doctor) checkEndpoint(ctx context.Context) {
	const check = "endpoint"
	target, err := url.Parse(d.url)
	switch {
	case d.url == "":
		d.note(check, skipped, "nobody says where it is", "clerksync doctor --url https://YOUR.HOST"+d.webhookPath)
		return
	case err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https":
		d.note(check, failed, "--url is no address", "write it as Clerk's dashboard has it")
		return
	case target.Scheme == "http" && !loopback.Is(target.Hostname()):
		d.note(check, warned, "events travel in the clear", "give Clerk an https:// address")
	}
	code, err := knock(ctx, d.url, nil)
	switch {
	case err != nil:
		d.note(check, failed, err.Error(), "let Clerk reach this address: DNS, firewall, proxy, certificate")
		return
	case code != http.StatusUnauthorized:
		d.note(check, failed, fmt.Sprintf("an unsigned delivery was answered %d", code), adviceFor(code))
		return
	}
	d.note(check, fine, "an unsigned delivery is refused", "")
	for i, secret := range d.signingSecrets {
		code, err := knock(ctx, d.url, &secret)
		switch {
		case err != nil:
			d.note(check, failed, err.Error(), "try again")
		case code != http.StatusNoContent:
			d.note(check, failed, fmt.Sprintf("a delivery signed with secret %d was answered %d", i+1, code), adviceFor(code))
		default:
			d.note(check, fine, fmt.Sprintf("a delivery signed with secret %d is taken", i+1), "")
		}
	}
}

func adviceFor(code int) string {
	switch {
	case code == http.StatusUnauthorized:
		return "the daemon has other secrets than this command: set the same CLERK_WEBHOOK_SIGNING_SECRET, and look at both clocks"
	case code == http.StatusForbidden:
		return "CLERKSYNC_ALLOW, or a firewall on the way, must let Clerk's addresses in"
	case code == http.StatusNotFound:
		return "the path must be CLERKSYNC_WEBHOOK_PATH, and the daemon must have a signing secret"
	case code < 400:
		return "something answers in clerksync's place, or redirects: Clerk does not follow, and counts it as a failure"
	case code == http.StatusServiceUnavailable:
		return "the daemon is there but cannot work: look at its /readyz and its log"
	}
	return "look at what answers at this address"
}

// doctorEvent is the type of the events that the doctor sends. They tell nothing about Clerk's way to the endpoint.
const doctorEvent = "clerksync.doctor"

// knock posts an event of a type that nobody has, signed with a secret or, without one, not at all. It returns the status.
func knock(ctx context.Context, endpoint string, with *secret) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	now := time.Now()
	body := fmt.Appendf(nil, `{"object":"event","type":%q,"timestamp":%d,"data":{}}`, doctorEvent, now.UnixMilli())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if with != nil {
		id := "doctor_" + strconv.FormatInt(now.UnixNano(), 10)
		signer, err := svix.NewWebhook(with.reveal())
		if err != nil {
			return 0, errors.New("the signing secret cannot be used")
		}
		signature, err := signer.Sign(id, now, body)
		if err != nil {
			return 0, errors.New("the signing secret cannot be used")
		}
		r.Header["Svix-Id"], r.Header["Svix-Timestamp"] = []string{id}, []string{strconv.FormatInt(now.Unix(), 10)}
		r.Header["Svix-Signature"] = []string{signature}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment, DialContext: new(net.Dialer).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}
