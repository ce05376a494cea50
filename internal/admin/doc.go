// Package admin is the daemon's second listener, for operators and their tools: health, metrics and status.
//
//	GET  /livez          200 while the process runs; it asks neither the database nor Clerk
//	GET  /readyz         200, or 503 with reasons: a load balancer sends no deliveries to a process that is not ready
//	GET  /metrics        for Prometheus
//	GET  /               the status page
//	GET  /api/status     the same as JSON, which is also what `clerksync status --json` prints
//	GET  /api/changes    the change feed, for programs that read it at their own pace
//	POST /api/reconcile  starts a full pass and answers 202
//
// Nothing changes by GET. All but the first two ask for the token, if there is one: as a bearer token, or as the password of basic
// authentication, which browsers offer. Without a token only requests that name this machine are answered, so that no web page can
// reach the listener through a name of its own that resolves to the loopback address.
package admin
