package upsert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
	"golang.org/x/sync/singleflight"

	clerksync "github.com/clerksync/clerksync/sync"
)

var (
	// ErrDeleted means that the user was deleted. A session token may outlive its user by a minute. It is [clerksync.ErrDeleted].
	ErrDeleted = clerksync.ErrDeleted

	// ErrNotFound means that Clerk does not know the user, or not yet: signing in again a moment later may help. It is
	// [clerksync.ErrNotFound].
	ErrNotFound = clerksync.ErrNotFound

	// ErrUnavailable means that neither the mirror nor Clerk can vouch for the user now. It is [clerksync.ErrUnavailable]. Where
	// the key belongs to another instance than the mirror, the error is [clerksync.ErrWrongInstance], too.
	ErrUnavailable = clerksync.ErrUnavailable
)

// Config configures an [Upserter]. Mirror and Clerk are required.
type Config struct {
	Mirror *clerksync.Mirror
	Clerk  *clerksync.API

	// MaxAge is how old a row may be before a login asks Clerk again. Zero means 15 minutes.
	MaxAge time.Duration

	// Issuer is the address of the instance's Frontend API, such as https://clerk.example.com, which its session tokens name as "iss".
	// Claims of any other issuer get ErrNotFound at once. Empty leaves it to Clerk, which is asked for the user by the instance's own
	// key and does not have those of other instances. With several instances in one process set it: the keys that clerk-sdk-go
	// v2.7.0 remembers let their tokens pass everywhere.
	Issuer string

	// CacheSize is how many sessions the middleware remembers, each with a user's row, metadata included. Zero means 10,000.
	CacheSize int

	// MaxDeletes guards against a Clerk that denies everybody: how many users may be hidden by logins within an hour, at most; nor
	// may it be more than the greater of ten and 5 % of the visible users. Above that a 404 hides nobody, and its login gets
	// ErrUnavailable. All Upserters of one database count together. Zero means 500.
	MaxDeletes int

	// Logger gets a line for each failure that an operator should see. Nil means none.
	Logger *slog.Logger

	// Observe, if not nil, is called with the result of each login and of each request that passes the middleware with claims; see
	// the Result constants. It may be called by several goroutines at once.
	Observe func(result string)
}

// What [Config.Observe] is told.
const (
	ResultSeen          = "seen"           // the middleware remembered the session
	ResultFresh         = "fresh"          // the row was young enough
	ResultRead          = "read"           // Clerk was asked, and has the user
	ResultStale         = "stale"          // Clerk could not be asked: the old row had to do
	ResultDeleted       = "deleted"        // ErrDeleted
	ResultNotFound      = "not_found"      // ErrNotFound
	ResultHeld          = "held"           // ErrUnavailable: the guard held a deletion back
	ResultWrongInstance = "wrong_instance" // ErrUnavailable: the key is another instance's
	ResultUnavailable   = "unavailable"    // ErrUnavailable for any other reason, or the caller went away
)

// Upserter answers logins. Its methods may be called by any number of goroutines at once.
type Upserter struct {
	cfg      Config
	reader   *clerksync.Reader
	guard    *clerksync.Guard
	sessions *sessions
	flights  singleflight.Group // by user id; "" checks the instance

	stopWatch func()
	ctx       context.Context // over when the Upserter is closed; every flight ends with it
	cancel    context.CancelFunc
	mu        sync.Mutex // orders the start of a flight and Close
	flying    sync.WaitGroup
}

// New returns an Upserter. It makes no request. Close it before the mirror's database is closed.
func New(cfg Config) (*Upserter, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("preparing logins: %w", err)
	}
	u := &Upserter{
		cfg:      cfg,
		reader:   clerksync.NewReader(cfg.Mirror, cfg.Clerk, clerksync.Login),
		guard:    clerksync.NewGuard(cfg.Mirror, clerksync.Limits{MaxDeletes: cfg.MaxDeletes}, clerksync.Login),
		sessions: newSessions(cfg.CacheSize),
	}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	u.stopWatch = cfg.Mirror.Watch(u.sessions.notice)
	return u, nil
}

// complete checks the settings and fills in the defaults.
func (c Config) complete() (Config, error) {
	switch {
	case c.Mirror == nil:
		return c, errors.New("Config.Mirror is missing: open it with clerksync.Open")
	case !c.Mirror.Mirrors(clerksync.Users):
		return c, errors.New("the mirror does not keep users: name clerksync.Users among its Config.Kinds")
	case c.Clerk == nil:
		return c, errors.New("Config.Clerk is missing: make it with clerksync.NewAPI")
	case c.MaxAge < 0 || c.CacheSize < 0 || c.MaxDeletes < 0:
		return c, errors.New("MaxAge, CacheSize and MaxDeletes must not be negative: leave them zero for the defaults")
	}
	c.Issuer = strings.TrimSuffix(c.Issuer, "/") // tokens name it without
	c.MaxAge = cmp.Or(c.MaxAge, 15*time.Minute)
	c.CacheSize = cmp.Or(c.CacheSize, 10_000)
	c.MaxDeletes = cmp.Or(c.MaxDeletes, 500)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Observe == nil {
		c.Observe = func(string) {}
	}
	return c, nil
}

// Close ends the requests in flight, waits for them and forgets the sessions. Logins after it get [ErrUnavailable]. Closing twice
// is harmless.
func (u *Upserter) Close() {
	u.stopWatch()
	u.mu.Lock()
	u.cancel()
	u.mu.Unlock()
	u.flying.Wait()
	u.sessions.forget()
}

// userID is stricter than a path needs, so that no id can reach another resource of Clerk's API.
var userID = regexp.MustCompile(`^user_[A-Za-z0-9_-]{1,120}$`)

// UpsertOnLogin returns the user that has just signed in, up to date as the package's documentation tells. id is the subject of
// claims that were verified: what is not a user's id gets [ErrNotFound]. Every error is [ErrDeleted], [ErrNotFound] or
// [ErrUnavailable]; where ctx ended first, it is the context's, too. The user may be shared with other calls: what its pointers point to
// must not be changed.
//
// Where ctx carries those claims, as clerk-sdk-go's middleware leaves them there, their issuer is checked, and a session that they name
// is looked up once and then remembered as by [Upserter.Middleware]: that takes neither the database nor an allocation.
func (u *Upserter) UpsertOnLogin(ctx context.Context, id string) (clerksync.User, error) {
	if claims, ok := clerk.SessionClaimsFromContext(ctx); ok && claims != nil && claims.Subject == id {
		e, err := u.session(ctx, claims)
		if err != nil {
			return clerksync.User{}, err
		}
		return e.user, nil
	}
	s, err := u.login(ctx, id)
	return s.user, err
}

// login is UpsertOnLogin with what the middleware needs to know besides the user.
func (u *Upserter) login(ctx context.Context, id string) (sight, error) {
	s, err := u.find(ctx, id)
	u.cfg.Observe(result(s, err))
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, ErrDeleted), errors.Is(err, ErrNotFound), errors.Is(err, ErrUnavailable):
		return sight{}, fmt.Errorf("signing in: %w", err)
	default:
		return sight{}, fmt.Errorf("signing in: %w: %w", ErrUnavailable, err)
	}
}

func (u *Upserter) find(ctx context.Context, id string) (sight, error) {
	switch {
	case !userID.MatchString(id):
		return sight{}, ErrNotFound
	case u.ctx.Err() != nil:
		return sight{}, errClosed
	}
	s, err := u.look(ctx, id)
	if err != nil || u.fresh(s) {
		return s, err
	}
	landed := u.flights.DoChan(id, func() (any, error) { return u.fly(ctx, id) })
	select {
	case r := <-landed:
		return r.Val.(sight), r.Err
	case <-ctx.Done():
		return sight{}, fmt.Errorf("waiting for Clerk: %w", ctx.Err())
	}
}

func result(s sight, err error) string {
	switch {
	case err == nil:
		return s.result
	case errors.Is(err, ErrDeleted):
		return ResultDeleted
	case errors.Is(err, ErrNotFound):
		return ResultNotFound
	case errors.Is(err, errHeld):
		return ResultHeld
	case errors.Is(err, clerksync.ErrWrongInstance):
		return ResultWrongInstance
	default:
		return ResultUnavailable
	}
}
