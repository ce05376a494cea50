package webhook

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	svix "github.com/svix/svix-webhooks/go"
)

// keys are the signing keys, of which any may have signed a delivery.
type keys []*svix.Webhook

// minKey is how many bytes a key has at least: what Svix makes, and Standard Webhooks asks for.
const minKey = 24

// parseSecrets reads signing secrets. Nothing is trimmed or skipped: a secret with a stray blank is a mistake somewhere, and one
// that does not work must not look as if it did.
func parseSecrets(secrets []string) (keys, error) {
	if len(secrets) == 0 {
		return nil, fmt.Errorf("reading the webhook signing secrets: there is none: %s", whereSecretsAre)
	}
	all := make(keys, len(secrets))
	for i, secret := range secrets {
		key, err := parseSecret(secret)
		if err != nil {
			return nil, fmt.Errorf("reading webhook signing secret %d of %d: %w: %s", i+1, len(secrets), err, whereSecretsAre)
		}
		all[i] = key
	}
	return all, nil
}

const whereSecretsAre = `copy it from the endpoint's page in Clerk's dashboard ("whsec_…")`

func parseSecret(secret string) (*svix.Webhook, error) {
	if strings.ContainsAny(secret, " \t\r\n") { // base64 would skip line ends
		return nil, fmt.Errorf("it contains white space")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is not base64 after %q", "whsec_") // the decoder's error would point into the secret
	case len(key) < minKey:
		return nil, fmt.Errorf("it has %d bytes and must have %d or more", len(key), minKey)
	}
	return svix.NewWebhookRaw(key)
}

// message is what the signature's headers claim about a delivery. Once verified it is what they say.
type message struct {
	id, timestamp, signature string
	signed                   time.Time // timestamp, in whole seconds
}

const (
	digits       = "0123456789"
	idAlphabet   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-" + digits
	maxID        = 64
	maxTimestamp = 12
)

// within reports whether a text is short enough and made of these characters alone.
func within(s, alphabet string, longest int) bool {
	return len(s) <= longest && strings.Trim(s, alphabet) == ""
}

// readMessage reads the headers of Svix, or those of Standard Webhooks (https://www.standardwebhooks.com), which say the same.
// Svix's verifier reads all three from the second family if one of the first is missing, whatever else the first says; so here
// there is one family, or two identical ones, and each header once. A reason other than "" refuses them.
func readMessage(h http.Header) (m message, reason string) {
	ours, reason := family(h, "Svix-")
	if reason != "" {
		return message{}, reason
	}
	theirs, reason := family(h, "Webhook-")
	if reason != "" {
		return message{}, reason
	}
	switch {
	case ours == nil && theirs == nil:
		return message{}, "missing"
	case ours == nil:
		ours = theirs
	case theirs != nil && *ours != *theirs:
		return message{}, "conflict"
	}
	m = *ours
	switch {
	case m.id == "" || m.timestamp == "" || m.signature == "":
		return message{}, "missing"
	case !within(m.id, idAlphabet, maxID):
		return message{}, "id"
	case !within(m.timestamp, digits, maxTimestamp) || m.timestamp[0] == '0':
		return message{}, "timestamp"
	}
	seconds, err := strconv.ParseInt(m.timestamp, 10, 64)
	if err != nil {
		return message{}, "timestamp"
	}
	m.signed = time.Unix(seconds, 0)
	return m, ""
}

// family reads the three headers of one family; nil if none is there.
func family(h http.Header, prefix string) (*message, string) {
	var m message
	found := false
	for _, field := range []struct {
		name string
		to   *string
	}{{"Id", &m.id}, {"Timestamp", &m.timestamp}, {"Signature", &m.signature}} {
		values := h[prefix+field.name]
		if len(values) > 1 {
			return nil, "duplicate"
		}
		if len(values) == 1 {
			found, *field.to = true, values[0]
		}
	}
	if !found {
		return nil, ""
	}
	return &m, ""
}

// verify checks the signature and the age of a message with Svix's own verifier, which sees the one triple that was read and
// nothing else of the request. It returns which key verifies it, counted from 1; a reason other than "" means that none does.
func (k keys) verify(m message, body []byte) (which int, reason string) {
	triple := http.Header{"Svix-Id": {m.id}, "Svix-Timestamp": {m.timestamp}, "Svix-Signature": {m.signature}}
	for i, key := range k {
		if key.Verify(body, triple) == nil {
			return i + 1, ""
		}
	}
	switch age := time.Since(m.signed); {
	case age > tolerance:
		return 0, "old"
	case age < -tolerance:
		return 0, "future"
	}
	return 0, "signature"
}

// tolerance is Svix's. It decides here only what a refusal is called.
const tolerance = 5 * time.Minute
