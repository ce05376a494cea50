package clerktest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	svix "github.com/svix/svix-webhooks/go"
)

// minSecret is the shortest key a signing secret may hold, in bytes, as Svix
// demands.
const minSecret = 24

// signer signs bodies with one secret.
type signer struct{ hook *svix.Webhook }

func newSigner(secret string) (signer, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < minSecret {
		return signer{}, fmt.Errorf("clerktest: a signing secret is whsec_ and the base64 of at least %d bytes", minSecret)
	}
	hook, err := svix.NewWebhookRaw(key)
	return signer{hook}, err
}

// headers returns the three headers of a delivery.
func (s signer) headers(id string, at time.Time, body []byte) http.Header {
	signature, err := s.hook.Sign(id, at, body)
	if err != nil {
		panic(err) // HMAC does not fail
	}
	h := http.Header{}
	h.Set("svix-id", id)
	h.Set("svix-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("svix-signature", signature)
	return h
}

// Sign returns the headers svix-id, svix-timestamp and svix-signature of a
// body, signed with the instance's secret. The timestamp has seconds.
func (c *Clerk) Sign(id string, at time.Time, body []byte) http.Header {
	return c.signer.headers(id, at, body)
}
