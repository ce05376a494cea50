// Package webhook is the public endpoint that Clerk posts events to: an [http.Handler] for any router.
//
//	endpoint, err := webhook.New(webhook.Config{Mirror: mirror, Secrets: []string{os.Getenv("CLERK_WEBHOOK_SIGNING_SECRET")}})
//	mux.Handle("/api/webhooks/clerk", endpoint)
//
// A delivery takes one way:
//
//	raw bytes → verify → parse strictly → evidence → Mirror.Apply → answer
//
// The signature is over the bytes as they came: behind a middleware that reads the body, or writes it anew, every delivery is answered 401
// for the reason "signature". One that compresses answers does no harm.
//
// Until its signature is verified a body is bytes and nothing else. A success is answered only after the commit, so what Clerk
// takes for delivered is in the database. Clerk delivers through Svix (https://docs.svix.com): 2xx within 15 s is success, and
// anything else is delivered again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h, always with the same message id.
//
//	204  committed: applied, stale, a duplicate, of an ignored type or another instance, deferred, or quarantined
//	400  verified, but not exactly one JSON object with distinct names and a type; Svix is told not to deliver it again
//	401  not verified; why is told to the log and to Config.Observe alone
//	405  not a POST
//	408  the body did not come within 10 s
//	413  the body is over 1 MiB, or over what a middleware lets through
//	415  the body has a Content-Encoding
//	503  the database cannot answer, too many deliveries at once, draining, or the request's context ended; with Retry-After
//
// No verified body is answered 503 because of what it says: an event that cannot be applied is kept in quarantine and answered
// 204. An event dated in the future is deferred, and [Retry] applies it when its time has come; so it does
// with what one of clerksync.Hooks refused. A program that has the endpoint keeps [KeepRetrying] in a goroutine.
package webhook
