package clerktest

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Config describes an emulated Clerk instance. The zero value is an instance
// without users that sends no webhooks.
type Config struct {
	// Listen is the address of a Server; "" is a free port of the loopback
	// interface. New does not use it.
	Listen string
	// Users is how many users exist at the start. They are a function of Seed
	// and Epoch and cost no memory.
	Users int
	// Organizations is how many organizations exist at the start; zero is none.
	// They, their members and Invitations are kept in memory.
	Organizations int
	// Members is how many members each of them has, drawn from Users: the first
	// one is its admin and creator. Zero is none; more than Users is Users.
	Members int
	// Invitations is how many invitations to sign up exist at the start, of
	// every status, and as many to organizations if there are any.
	Invitations int
	// NoOrganizations refuses every request about organizations, as an instance
	// does in which they are not enabled.
	NoOrganizations bool
	// Seed determines users, ids, keys and faults. Two instances with the same
	// seed are the same instance.
	Seed uint64
	// Epoch is the instant before which the generated users signed up, spread
	// over three years. Zero is the start of the present day (UTC), so that an
	// emulator started again the same day has the same users.
	Epoch time.Time

	// PageCache is how many bytes of written pages of users are kept until a
	// user changes, for benchmarks: writing a page costs more than sending it.
	// Zero keeps none.
	PageCache int64
	// Gzip compresses answers for clients that accept it.
	Gzip bool

	// SecretKey is the key the Backend API expects. "" makes an sk_test_ key
	// from the seed.
	SecretKey string
	// Live makes that key an sk_live_ key and the instance a production one.
	Live bool
	// InstanceID is the id that GET /v1/instance and every event carry. "" makes
	// one from the seed that starts with "ins_emulator".
	InstanceID string

	// WebhookURL receives the events; "" sends none until SetWebhookURL.
	WebhookURL string
	// WebhookSecret signs them: "whsec_" and base64. "" makes one from the seed.
	WebhookSecret string
	// RetryScale multiplies Svix's retry delays (5 s to 10 h); zero is 1, as in
	// production, 0.001 is handy in tests.
	RetryScale float64
	// Concurrency is how many webhooks are posted at once; zero is 32, and 1
	// keeps the order of events.
	Concurrency int
	// HTTPClient posts the webhooks; nil is a client of its own. Its time-out
	// and its treatment of redirects are replaced by Svix's.
	HTTPClient *http.Client

	// Faults are the faults at the start.
	Faults Faults
	// Now is the instance's clock; nil is time.Now. Every answer's Date header
	// follows it, the svix-timestamp of deliveries does not. See Clock.
	Now func() time.Time
	// OnRequest, if not nil, is called with every API request before it is
	// answered, on the request's goroutine. It may write through the Clerk: so a
	// test changes users in the middle of a walk.
	OnRequest func(*http.Request)
}

// complete fills in what was left empty and checks the rest.
func (c Config) complete() (Config, error) {
	ids := newIDSpace(c.Seed)
	opaque := func(sub byte) []byte { b := ids.opaque(kindInstance, sub, 0); return b[:] }
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Epoch.IsZero() {
		c.Epoch = c.Now().UTC().Truncate(24 * time.Hour)
	}
	if c.InstanceID == "" {
		c.InstanceID = "ins_emulator" + ids.id(kindInstance, 0, 0, c.Epoch.UnixMilli())[len("ins_")+8:]
	}
	if c.SecretKey == "" {
		prefix := "sk_test_"
		if c.Live {
			prefix = "sk_live_"
		}
		c.SecretKey = prefix + fmt.Sprintf("%x", opaque(1)) + fmt.Sprintf("%x", opaque(2))[:10]
	}
	c.Live = c.Live || strings.HasPrefix(c.SecretKey, "sk_live_")
	if c.WebhookSecret == "" {
		c.WebhookSecret = "whsec_" + base64.StdEncoding.EncodeToString(append(opaque(3), opaque(4)...))
	}
	c.RetryScale = cmp.Or(c.RetryScale, 1)
	c.Concurrency = cmp.Or(c.Concurrency, 32)
	if c.RetryScale < 0 || min(c.Users, c.Organizations, c.Members, c.Invitations, c.Concurrency) < 0 || c.PageCache < 0 {
		return c, errors.New("clerktest: Users, Organizations, Members, Invitations, RetryScale, Concurrency and PageCache must not be negative")
	}
	if c.WebhookURL != "" {
		if err := checkURL(c.WebhookURL); err != nil {
			return c, err
		}
	}
	c.Members = min(c.Members, c.Users)
	return c, c.Faults.check()
}
