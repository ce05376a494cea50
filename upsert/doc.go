// Package upsert makes sure, when somebody signs in, that the mirror has them: the third feeder beside webhooks and passes, and
// the only one that needs neither a webhook endpoint nor a daemon.
//
// [Upserter.UpsertOnLogin] returns the user's row. While the row is younger than [Config.MaxAge], that is one indexed read. When
// it is older, hidden or missing, Clerk is asked for the user by id, the answer is merged as [clerksync.Evidence], and the row is
// read again:
//
//	the mirror has        Clerk answers         the row                  the login gets
//	a young row           is not asked          as it is                 the user
//	anything              the user              merged, synced_at moves  the user, or ErrDeleted if still hidden
//	a visible row         404                   hidden                   ErrDeleted
//	a row seen alive      404                   as it is                 ErrNotFound: the 404 may be the stale one
//	  within the margin
//	a visible row         more 404s than the    as it is                 ErrUnavailable
//	                      guard believes
//	a hidden row          404                   stays hidden             ErrDeleted
//	no row                404                   none                     ErrNotFound: a sign-up may not have arrived
//	a visible row         not at all            as it is                 the user, as last seen
//	no visible row        not at all            as it is                 ErrUnavailable
//	an old row or none    for another instance  as it is                 ErrUnavailable
//
// A session token that is still valid is never evidence: it brings no deleted user back. No connection of the database is held
// while Clerk is asked, and logins of one user that come at the same time share one request. Bound the pool by SetMaxOpenConns: it has
// no bound by itself, and a crowd of logins would take all the connections that the server has.
//
// [Upserter.Middleware] does the same for a whole site, once per session instead of once per request. It takes the verified claims
// that clerk-sdk-go's own middleware leaves in the context:
//
//	handler := clerkhttp.WithHeaderAuthorization()(users.Middleware(mux))
//
// UpsertOnLogin remembers sessions in the same way where its context carries those claims. Whatever has middleware for net/http takes
// it; examples/chi, examples/echo and examples/gin are whole programs.
//
// # Whom the claims name
//
//	the claims                          the context gets
//	are missing, or no token came       nobody: FromContext reports false, and next is called
//	name an actor: impersonation        the impersonated user, for as long as that user is there; nothing is asked about the actor
//	name an active organization         its [clerksync.Membership], too, if the mirror has one: see [MembershipFromContext]
//	name another one than a minute ago  that one's, at once, since the claims of each request decide
//	are another instance's              nothing: 401, at once with [Config.Issuer], after a request to Clerk without
//	name no session                     their user, who is looked up with each request: so are tokens of a JWT template, or of an OAuth application
//	name a machine in a user's place    nothing: 401, and Clerk is not asked; one that is no JWT, such as an API key, is like no token
//	are of a pending session            its user, like any other's: clerk-sdk-go v2.7.0 leaves "sts" out
//	name somebody banned or locked      that user, whose Banned and Locked tell: Clerk gives a banned one no further token
//
// A session is pending while a task is left, such as a second factor or the choice of an organization. Where that must keep the user out,
// read "sts" by clerkhttp.CustomClaimsConstructor, and refuse "pending" before this middleware.
//
// clerk-sdk-go looks for the token in the header Authorization alone. Browsers send the cookie __session by themselves: a site that is
// to know them by it gives clerkhttp.AuthorizationJWTExtractor a function that returns the header's token or else the cookie's, and
// names its own origins to clerkhttp.AuthorizedPartyMatches, since other sites of the same domain get that cookie, too.
//
// # While Clerk or the database is down
//
// While Clerk is down whoever the mirror has goes on, and a user whom it does not have yet waits. That takes a clerk-sdk-go which was given
// the public key of the tokens, by clerkhttp.JSONWebKey: otherwise it asks Clerk for the key at first, and again after an hour without
// requests, and answers 401 to everybody while Clerk does not tell.
//
// While the database is down, sessions that were seen go on until their rows are too old, but for those in an organization of which the
// mirror has no membership: each request looks for that again.
//
// # Where strangers come
//
// Give clerk-sdk-go the key. Without it, each token that names a key which there is not has Clerk asked, and takes one of the requests
// that Clerk allows the whole instance, logins too.
//
// Restart your program once you have rolled keys: a token that names a key, verified or not, has clerk-sdk-go keep that for another hour.
//
// Bound the headers of your server: clerk-sdk-go reads a token's own headers, however deep they are nested, before it verifies anything.
// One of 1 MiB, which is the bound of net/http, takes more than 100 MiB. Clerk's tokens are smaller than 4 KiB:
//
//	server := &http.Server{Handler: handler, MaxHeaderBytes: 16 << 10, ReadHeaderTimeout: 5 * time.Second}
package upsert
