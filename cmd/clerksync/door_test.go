package main_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	svix "github.com/svix/svix-webhooks/go"

	"github.com/clerksync/clerksync/clerktest"
	main "github.com/clerksync/clerksync/cmd/clerksync"
	"github.com/clerksync/clerksync/internal/pgtest"
	clerksync "github.com/clerksync/clerksync/sync"
)

// write writes a secret's file as orchestrators do: another file takes its place.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func fresh(t *testing.T) string {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

// signed posts an empty event, signed with a secret, and returns the status.
func signed(t *testing.T, client *http.Client, url, secret, id string) int {
	t.Helper()
	return signedBody(t, client, url, secret, id, `{"type":"session.unknown","object":"event","data":{}}`)
}

func signedBody(t *testing.T, client *http.Client, url, secret, id, body string) int {
	t.Helper()
	key, err := svix.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := key.Sign(id, now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Svix-Id": {id}, "Svix-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Svix-Signature": {signature}}
	code, _ := postTo(t, client, url, header, body)
	return code
}

// postTo posts a body as it is and returns status and body of the answer.
func postTo(t *testing.T, client *http.Client, url string, header http.Header, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body) // half an answer is one, too
	return resp.StatusCode, string(text)
}

// TestSecretsAreRenewed changes every secret's file under a daemon at work: some by a SIGHUP, one without.
func TestSecretsAreRenewed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	signing, token, key := filepath.Join(dir, "signing"), filepath.Join(dir, "token"), filepath.Join(dir, "key")
	first, second := fresh(t), fresh(t)
	clerk := emulate(t, clerktest.Config{})
	write(t, signing, first+"\n")
	write(t, token, "token-one\n")
	write(t, key, clerk.SecretKey()+"\n")
	d := serve(t, clerk, []string{
		"CLERK_API_URL=" + clerk.URL(), "CLERK_SECRET_KEY_FILE=" + key, "CLERK_WEBHOOK_SIGNING_SECRET_FILE=" + signing,
		"CLERKSYNC_ADMIN_TOKEN_FILE=" + token, "DATABASE_URL=sqlite:mirror.db", "CLERKSYNC_READ_MARGIN=0s",
		"CLERKSYNC_LISTEN=127.0.0.1:0", "CLERKSYNC_ADMIN_LISTEN=127.0.0.1:0",
	})
	status := func(token string) int {
		code, _ := get(t, d.admin+"/api/status", "Authorization", "Bearer "+token)
		return code
	}
	want := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	want("the first secret", signed(t, client, d.webhook, first, "msg_1"), 204)
	want("the second secret", signed(t, client, d.webhook, second, "msg_2"), 401)
	want("the first token", status("token-one"), 200)

	write(t, signing, first+", "+second)
	write(t, token, "token-two")
	d.signal(syscall.SIGHUP)
	eventually(t, 10*time.Second, "the second secret is in use", func() bool { return signed(t, client, d.webhook, second, "msg_3") == 204 })
	want("the first secret beside the second", signed(t, client, d.webhook, first, "msg_4"), 204)
	eventually(t, 10*time.Second, "the second token is in use", func() bool { return status("token-two") == 200 })
	want("the first token after its end", status("token-one"), 401)

	// What is refused changes nothing.
	write(t, signing, "whsec_c2hvcnQ=")
	write(t, key, "sk_test_nobody_knows_this")
	d.signal(syscall.SIGHUP)
	refused := `clerksync_renewals_total{name="CLERK_WEBHOOK_SIGNING_SECRET",result="refused"}`
	eventually(t, 10*time.Second, "the short secret is refused", func() bool {
		_, metrics := get(t, d.admin+"/metrics", "Authorization", "Bearer token-two")
		return strings.Contains(metrics, refused) && strings.Contains(metrics, `name="CLERK_SECRET_KEY",result="refused"`)
	})
	want("the second secret after a refusal", signed(t, client, d.webhook, second, "msg_5"), 204)

	// So does an emptied file, which is no order to do without a secret.
	write(t, token, " \n")
	d.signal(syscall.SIGHUP)
	eventually(t, 10*time.Second, "the blank token is refused", func() bool {
		_, metrics := get(t, d.admin+"/metrics", "Authorization", "Bearer token-two")
		return strings.Contains(metrics, `name="CLERKSYNC_ADMIN_TOKEN",result="refused"} 1`)
	})

	// Without a signal it takes a little longer.
	write(t, signing, second)
	eventually(t, 40*time.Second, "the first secret is gone", func() bool { return signed(t, client, d.webhook, first, "msg_6") == 401 })
	want("the second secret alone", signed(t, client, d.webhook, second, "msg_7"), 204)
	_, metrics := get(t, d.admin+"/metrics", "Authorization", "Bearer token-two")
	for _, line := range []string{`webhook_verified_total{secret="1"}`, `webhook_verified_total{secret="2"}`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics do not tell %s", line)
		}
	}
	d.signal(syscall.SIGTERM)
	d.wantExit(0, 25*time.Second)
	audit, _ := run(t, 0, []string{"DATABASE_URL=sqlite:" + filepath.Join(d.cmd.Dir, "mirror.db")}, "audit", "list")
	if n := strings.Count(audit, "reloaded"); n != 3 {
		t.Errorf("the audit log tells of %d renewals, want 3:\n%s", n, audit)
	}
	log := d.stderr.String() + audit
	for _, secret := range []string{first[6:], second[6:], "token-one", "token-two", "c2hvcnQ", "nobody_knows", clerk.SecretKey()} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(log, "the old one stays in use") || !strings.Contains(log, "at least 24 bytes") {
		t.Error("the log does not tell what was refused, and why")
	}
}

// TestUnchangedFilesAreNotRenewed reads files again that hold commas and blanks, of which one changes: only that one is put to use.
func TestUnchangedFilesAreNotRenewed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	token, signing, database := filepath.Join(dir, "token"), filepath.Join(dir, "signing"), "sqlite:"+filepath.Join(dir, "mirror.db")
	clerk := emulate(t, clerktest.Config{})
	key := filepath.Join(dir, "key")
	write(t, token, "correct, horse, battery\n")
	write(t, signing, clerk.WebhookSecret()+",\n"+fresh(t)+"\n")
	write(t, key, clerk.SecretKey())
	d := serve(t, clerk, environment(clerk, database, "CLERKSYNC_ADMIN_TOKEN_FILE="+token, "CLERK_WEBHOOK_SIGNING_SECRET=", "CLERK_WEBHOOK_SIGNING_SECRET_FILE="+signing,
		"CLERK_SECRET_KEY=", "CLERK_SECRET_KEY_FILE="+key))
	told := func(what string, times int) func() bool {
		return func() bool { return strings.Count(d.stderr.String(), what) >= times }
	}
	write(t, key, "sk_test_nobody_knows_this")
	d.signal(syscall.SIGHUP)
	eventually(t, 30*time.Second, "the files are read", told("the old one stays in use", 1))
	d.signal(syscall.SIGHUP)
	eventually(t, 30*time.Second, "they are read again", told("the old one stays in use", 2))
	if code, _ := get(t, d.admin+"/api/status", "Authorization", "Bearer correct, horse, battery"); code != http.StatusOK {
		t.Errorf("with the token of the file: %d, want 200", code)
	}
	if audit, _ := run(t, 0, []string{"DATABASE_URL=" + database}, "audit", "list"); strings.Contains(audit, "reloaded") {
		t.Errorf("nothing was put to use, and the audit log tells\n%s", audit)
	}
}

// TestRenewalIsRecorded ends the daemon in the moment in which a changed secret is put to use: the audit log tells of it all the same.
func TestRenewalIsRecorded(t *testing.T) {
	t.Parallel()
	mirror, err := clerksync.Open(t.Context(), pgtest.SQLite(t), clerksync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	log := new(output)
	main.Renew(ctx, mirror, slog.New(slog.NewTextHandler(log, nil)), "CLERK_SECRET_KEY", cancel)
	var told []string
	if err := mirror.DB().Select(&told, mirror.SQL(`SELECT detail FROM {audit} WHERE action = 'reloaded'`)); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0] != "CLERK_SECRET_KEY" {
		t.Errorf("the audit log tells of %v, want CLERK_SECRET_KEY; the log:\n%s", told, log)
	}
}

// TestAllow takes requests from the networks that are named, whatever a header says about where they come from.
func TestAllow(t *testing.T) {
	t.Parallel()
	clerk := emulate(t, clerktest.Config{})
	for _, c := range []struct {
		networks string
		code     int
	}{{"203.0.113.0/24,2001:db8::/32", 403}, {"203.0.113.0/24, 127.0.0.0/8", 401}} {
		d := serve(t, clerk, environment(clerk, "sqlite:mirror.db", "CLERK_SECRET_KEY=", "CLERKSYNC_ALLOW="+c.networks))
		if code, _ := request(t, http.MethodPost, d.webhook, "X-Forwarded-For", "203.0.113.9", "Forwarded", "for=203.0.113.9"); code != c.code {
			t.Errorf("with %s: %d, want %d", c.networks, code, c.code)
		}
		if _, metrics := get(t, d.admin+"/metrics"); c.code == 403 && !strings.Contains(metrics, `clerksync_webhook_requests_total{code="403",reason="address"} 1`) {
			t.Error("the metrics do not count the refusal")
		}
	}
}

// certify writes a certificate for 127.0.0.1 and its key, and returns what trusts it.
func certify(t *testing.T, cert, key string) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, cert, string(text))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// trusting returns a client that trusts one certificate and speaks up to a version of TLS.
func trusting(pool *x509.CertPool, most uint16) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: most}}}
}

// TestTLS speaks TLS at the public listener, and goes on with a renewed certificate.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool := certify(t, cert, key)
	clerk := emulate(t, clerktest.Config{})
	env := environment(clerk, "sqlite:mirror.db", "CLERK_SECRET_KEY=", "CLERKSYNC_TLS_CERT="+cert)
	if _, stderr := run(t, 2, env, "serve"); !strings.Contains(stderr, "CLERKSYNC_TLS_CERT and CLERKSYNC_TLS_KEY must be set together") {
		t.Errorf("a certificate without a key: %s", stderr)
	}
	if _, stderr := run(t, 2, append(env, "CLERKSYNC_TLS_KEY="+cert), "serve"); !strings.Contains(stderr, "CLERKSYNC_TLS_CERT must be a PEM file") {
		t.Errorf("a key that is none: %s", stderr)
	}
	d := serve(t, clerk, append(env, "CLERKSYNC_TLS_KEY="+key))
	url := strings.Replace(d.webhook, "http://", "https://", 1)
	secret := clerk.WebhookSecret()
	if code := signed(t, trusting(pool, tls.VersionTLS13), url, secret, "msg_1"); code != 204 {
		t.Errorf("over TLS 1.3: %d, want 204", code)
	}
	if code := signed(t, trusting(pool, tls.VersionTLS12), url, secret, "msg_2"); code != 204 {
		t.Errorf("over TLS 1.2: %d, want 204", code)
	}
	if code := signed(t, trusting(pool, tls.VersionTLS11), url, secret, "msg_3"); code != 0 {
		t.Errorf("over TLS 1.1: %d, want no answer", code)
	}
	if code := signed(t, client, d.webhook, secret, "msg_4"); code == 204 {
		t.Error("plain HTTP was taken where TLS is spoken")
	}

	next := certify(t, cert, key)
	d.signal(syscall.SIGHUP)
	eventually(t, 10*time.Second, "the next certificate is shown", func() bool {
		return signed(t, trusting(next, tls.VersionTLS13), url, secret, "msg_5") == 204
	})
	write(t, key, "none")
	d.signal(syscall.SIGHUP)
	eventually(t, 10*time.Second, "a broken key is refused", func() bool { return strings.Contains(d.stderr.String(), "the old one stays in use") })
	if code := signed(t, trusting(next, tls.VersionTLS13), url, secret, "msg_6"); code != 204 {
		t.Errorf("after a broken key: %d, want 204", code)
	}
}
