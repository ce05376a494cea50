// Package admin is the daemon's second listener, for operators and their tools: health, metrics and status.
//
//	GET  /livez          200 while the process runs; it asks neither the database nor Clerk
//	GET  /readyz         200, or 503 with reasons: a load balancer sends no deliveries to a process that is not ready
//	GET  /metrics        for Prometheus
//	GET  /               the status page; /live keeps it up to date, /assets/ has its files
//	GET  /objects/…      the page of one object: personal data
//	GET  /api/status     the status as JSON, which is also what `clerksync status --json` prints
//	GET  /api/samples    what the charts show
//	GET  /api/changes    the change feed, for programs that read it at their own pace
//	POST /api/reconcile  starts a full pass and answers 202
//	POST /api/events/…   retries or drops an event in quarantine
//	POST /api/objects/…  undoes a deletion
//
// A page runs no script and has no style but those in assets, which are htmx 4.0.1 with its extension for server-sent events, uPlot
// 1.6.32 and our own, and works without script, too: then it shows what was so when it was loaded.
//
// Nothing changes by GET. All but the first two ask for the token, if there is one: as a bearer token, or as the password of basic
// authentication, which browsers offer. Without a token only requests that name this machine are answered, so that no web page can
// reach the listener through a name of its own that resolves to the loopback address.
package admin
