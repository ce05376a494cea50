// Package clerktest emulates Clerk for tests: the Backend API for users,
// organizations, memberships, invitations, domains, roles, permissions,
// sessions and the instance, and the sender of signed webhooks, close enough
// that clerk-sdk-go and svix's verifier cannot tell the difference. It needs no
// account, no database, and no network beyond the loopback interface, and
// nothing else of clerksync: a test of any program that uses Clerk can have it.
//
// # A server in two lines
//
//	clerk := clerktest.NewServer(t, clerktest.Config{})
//	clerk.SetWebhookURL(app.URL + "/api/webhooks/clerk")
//
// It ends with the test. The program under test is given clerk.URL(),
// clerk.SecretKey() and clerk.WebhookSecret() in place of CLERK_API_URL,
// CLERK_SECRET_KEY and CLERK_WEBHOOK_SIGNING_SECRET. Then somebody signs up,
// which is announced as Clerk announces it:
//
//	id := clerk.MustCreateUser(clerktest.Person("Ada", "Lovelace").Email("ada@example.com"))
//	counts, err := clerk.Wait(ctx) // every event is delivered, or failed for good
//	token := clerk.SessionToken(id) // signs her in
//
// A mirror under test shares its clock with this Clerk and sees no stale reads,
// so it can do without the two minutes by which a read is dated back: with
// clerksync.Config.ReadMargin = -1 (CLERKSYNC_READ_MARGIN=0) a deletion right
// after a sign-up is believed at once. The client's RateLimit = -1 takes off
// Clerk's rate limit. A Clock that is advanced is not shared any more: see there
// what a mirror makes of that. Nor does the mirror's database share the clock of
// a bubble of testing/synctest, which begins in the year 2000: whoever signs up
// in it is older than the mirror.
//
// # What a test has in its hands
//
//	who is there      Person and Fields, CreateUser, UpdateUser, BanUser, DeleteUser, CreateOrganization, AddMember, …
//	events            Hold and Release, Resend, Send for any event, Sign for a post of one's own, Messages for what was sent
//	requests          Requests for what was asked, Config.OnRequest to act in the middle of one
//	time              Clock: what expires, expires at once. Config.RetryScale for the retries of events
//	what goes wrong   Faults, at the start or by SetFaults: lost, doubled and overtaken events, rate limits, outages, lying lists
//	another run       Config.Seed: the same users, ids, keys and faults
//
// # Three ways to run it
//
// NewServer listens for the length of a test. Start listens until its context
// ends, without package testing. New gives the instance alone, an http.Handler
// that can be served over anything, for example net.Pipe in a bubble of
// testing/synctest. A Server is a Clerk with an address: URL is what
// CLERK_API_URL wants, APIURL ends in /v1 as clerk-sdk-go wants it.
//
// # Users
//
// Config.Users of them exist from the start. They are computed from the seed
// when they are looked at, so ten million cost no memory; only users that were
// created, changed or deleted are kept. They are as uneven as people: without
// names or e-mail, with several addresses of which the first is not the primary
// one, with names in other scripts, connected Google accounts, phones, wallets,
// metadata, banned, locked, and with a created_at that neighbours share.
//
// Writes come through the Backend API or through the methods of Clerk, which
// run the same code. Every write moves updated_at forward, strictly, and sends
// the real event. What Go gives as json.RawMessage is told byte by byte,
// however hostile. A path that is not emulated, such as that of sign-in tokens,
// is answered 404 with a long_message that says so.
//
// # Listing
//
// GET /v1/users takes every documented parameter, with its bounds: limit up to
// 500, starting_after only with an order by created_at and without offset (422
// otherwise), at most 100 values of a repeatable parameter. A page costs the
// same wherever it lies in the orders by created_at and updated_at. The other
// orders sort in memory, up to 100,000 users; searches look at every user.
// Where Clerk's documents are silent: users of the same created_at come in the
// order of their creation, and a cursor whose user was deleted is refused (see
// Faults.LostCursor).
//
// # Organizations, memberships, invitations
//
// Config.Organizations, Members and Invitations exist from the start; the rest
// comes by writes. All of it is kept in memory, and sized for some hundred
// thousand memberships. Their listings take limit up to 500, offset, order_by
// and Clerk's filters, and answer {"data":[…],"total_count":n}; GET
// /v1/invitations answers an array unless it is asked for paginated=true, and
// leaves out revoked invitations unless it is asked for them. Only created_at
// orders without sorting.
//
// What one object tells of another is its present state: a membership tells its
// organization's members_count, its role's name and permissions and its user's
// name, which all move without an event about the membership and without a new
// updated_at. Invitations and sessions expire by the clock, likewise in
// silence. Deleting an organization ends its memberships, domains and
// invitations, deleting a user his memberships; how much of that is announced
// is up to Faults.SilentCascade. Where Clerk's documents are silent: an
// organization without limit has max_allowed_memberships 0, and its last admin
// can be removed.
//
// Objects yields every object of a resource as the Backend API tells it, to
// compare with a copy; State counts them.
//
// # Webhooks
//
// An event is posted to the webhook URL as Svix does: signed, at once and then
// after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h (times Config.RetryScale)
// until a 2xx comes within 15 s. Redirects are failures, and the response
// header "webhook-delivery: abort-message" ends the attempts. Up to 32 are
// under way at once, in no order, so later events may overtake earlier ones, as
// in production. The JSON differs from that of the Backend API the way Clerk's
// does: sorted members, no objects of verifications, another shape of Google
// accounts, fewer members.
//
// # Faults
//
// Faults lose, duplicate and reorder events, limit and break the API, and make
// listings lie. SetFaults changes them at any time. Over HTTP:
//
//	GET  /_emulator/state    State as JSON
//	POST /_emulator/faults   {"drop":0.05,"latency":"20ms"} sets these, leaves the others
//	POST /_emulator/resend   {"which":"failed"|"missing"|"all","since":"2026-01-02T03:04:05Z"}
//
// # Logins
//
// SessionToken makes a session token that clerk-sdk-go verifies, against GET
// /v1/jwks or JWTKey. SignIn says who impersonates the user and which
// organization is active, SwitchOrganization changes that, and the tokens tell
// it, with what the role in it allows. SessionOptions.Claims gives them an
// "azp" and claims of one's own. Two instances have two Issuers.
//
// Facts about Clerk come from its OpenAPI files (Backend API 2026-05-12,
// webhooks 2025-04-15), its "Backend API errors" page, and observed payloads;
// those about delivery from docs.svix.com.
package clerktest
