package clerktest

import (
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Clerk is an emulated instance: its state, its Backend API (it is an
// http.Handler) and its webhook sender. All methods are safe for concurrent
// use.
type Clerk struct {
	config Config
	ids    idSpace
	routes *http.ServeMux
	faults atomic.Pointer[Faults]
	sender *sender
	signer signer
	log    requestLog
	limit  rateLimit
	tokens tokenKey
	pages  pageCache

	mu      sync.RWMutex // guards what follows
	store   *store
	serial  int64 // number of the next id of every other kind
	objects       // everything but users

	draws   sync.Mutex // guards apiDice
	apiDice dice
}

// New returns an instance without a listener of its own. Close it to stop the
// webhook sender.
func New(config Config) (*Clerk, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	c := &Clerk{config: config, ids: newIDSpace(config.Seed), apiDice: newDice(config.Seed, 1), objects: newObjects(),
		pages: pageCache{limit: config.PageCache}}
	c.store = newStore(newPopulation(c.ids, config.Seed, config.InstanceID, int64(config.Users), config.Epoch))
	c.faults.Store(&config.Faults)
	c.generate()
	if c.sender, err = newSender(config, c.Faults); err != nil {
		return nil, err
	}
	c.signer = c.sender.signer
	c.routes = c.newRoutes()
	return c, nil
}

// Close stops the webhook sender and waits for the posts under way, which are
// cancelled. What was not delivered stays undelivered.
func (c *Clerk) Close() { c.sender.close() }

// SecretKey returns the key the Backend API expects (CLERK_SECRET_KEY).
func (c *Clerk) SecretKey() string { return c.config.SecretKey }

// WebhookSecret returns the signing secret (CLERK_WEBHOOK_SIGNING_SECRET).
func (c *Clerk) WebhookSecret() string { return c.config.WebhookSecret }

// InstanceID returns the id of the instance.
func (c *Clerk) InstanceID() string { return c.config.InstanceID }

func (c *Clerk) now() time.Time { return c.config.Now().Add(c.Faults().Skew) }

func (c *Clerk) nowMilli() int64 { return c.now().UnixMilli() }

// madeLater sets the ids of what is created here apart from those of generated
// users, whose subs are small.
const madeLater = 0xfe

// newID makes an id of a kind that is not a user. The caller holds mu.
func (c *Clerk) newID(k kind) string {
	c.serial++
	return c.ids.id(k, madeLater, c.serial, c.nowMilli())
}

// Count returns how many users exist.
func (c *Clerk) Count() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return int(c.store.count())
}

// User returns a user as GET /v1/users renders it, nil if there is none.
func (c *Clerk) User(id string) []byte {
	c.mu.RLock()
	u := c.store.byID(id)
	c.mu.RUnlock()
	if u == nil {
		return nil
	}
	var w writer
	return w.listUser("", u).buf
}

// Users yields id and JSON of every user in the order of creation, the JSON as
// GET /v1/users renders it. Users that are created or deleted meanwhile may or
// may not be among them.
func (c *Clerk) Users() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for createdAt, seq := int64(0), int64(-1); ; {
			page := c.page(createdAt, seq)
			for _, u := range page {
				var w writer
				if !yield(u.id, w.listUser("", u).buf) {
					return
				}
				createdAt, seq = u.createdAt, u.seq
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// page returns the next users after one in the order of creation.
func (c *Clerk) page(createdAt, seq int64) []*user {
	c.mu.RLock()
	defer c.mu.RUnlock()
	page := make([]*user, 0, maxLimit)
	for number, u := range c.store.created(c.store.cutBefore(createdAt, seq+1), c.store.end(), false) {
		if u == nil {
			u = c.store.pop.user(number)
		}
		if page = append(page, u); len(page) == cap(page) {
			break
		}
	}
	return page
}
