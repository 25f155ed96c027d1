# One entry for people and CI. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The image's full name with registry and tag; there is no default, since none is published.
IMAGE ?=
GO_IMAGE ?= golang:1.26.8
FUZZTIME ?= 30s
SOAK ?= 5m
CHAOS ?= 5m
GOVULNCHECK ?= v1.9.0
# Another Kaniko for `make parity`: an OCI layout, an archive of docker save, or a reference to
# pull; and which one it is, as in KILN_KANIKO_FLAVOR, where the reference does not tell.
KANIKO ?=
KANIKO_FLAVOR ?=
# Extra arguments for `go test`, for example TESTARGS='-run TestSpool -v'.
TESTARGS ?=
# Arguments of the bench, for example BENCHARGS='--compare v1.2.3'.
BENCHARGS ?=

# Everything but the race detector's build uses these, so that the build cache is shared.
# VERSION stamps the binaries; git's own stamp would fail in another user's checkout.
STATIC := CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false'
LDFLAGS := -s -w -X main.version=$(VERSION)

# A program under the detector sleeps for a second before it ends, unless it is told not to.
RACE := CGO_ENABLED=1 GORACE=atexit_sleep_ms=0
# A quarter of the collections: the tests and what links them have the memory.
FEWER_GC := GOGC=400
# Packages that are tested at a time, for each processor: many tests wait, and under the
# detector each takes more memory.
WIDTH = $(shell expr 3 '*' "$$(getconf _NPROCESSORS_ONLN)")
RACE_WIDTH = $(shell expr 2 '*' "$$(getconf _NPROCESSORS_ONLN)")

# What the tests of one package may take on a machine that is busy with something else.
PATIENCE := 30m

# The modules whose Go code is linted with types. The others compile all of Kubernetes
# or of Kaniko for a few lines of wiring: their format is checked, and their packages
# by internal/repo.
TYPED_MODULES := . login e2e/cluster e2e/helm e2e/distribution e2e/parity
# Every module that has packages of its own. Those that only name programs have none, and
# tidying them would add what the tests of the programs' dependencies need.
MODULES := $(filter-out e2e/kaniko e2e/parity/buildkit,$(patsubst %/go.mod,%,$(shell git ls-files -co --exclude-standard go.mod '*/go.mod' | sed 's,^go.mod$$,./go.mod,')))
LINT := bin/golangci-lint
ACTIONLINT := bin/actionlint
# Both majors of Helm, for the tests of the chart.
HELMS := bin/helm bin/helm3
# The CNCF registry, which the gate is tested against.
REGISTRY := bin/distribution

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: build ## Show one action from hook to result on the local cluster, and leave the cluster up
	@hack/with-cluster env $(STATIC) go run ./e2e/demo

.PHONY: test
test: ## Run every check: lint, unit, script and end-to-end tests; needs root or KUBECONFIG
	@hack/test

.PHONY: clean
clean: ## Remove what make built; the cluster and its cache stay
	rm -rf bin

##@ Build

CLUSTER := bin/kiln-cluster

.PHONY: build
build: bin/kilnd bin/kiln-hook bin/kiln-agent bin/kiln-init bin/kiln-sidecar bin/kiln-login $(CLUSTER) ## Build the static binaries into bin/

# Go knows best what is out of date, so these run every time.
.PHONY: bin/kilnd bin/kiln-hook bin/kiln-agent bin/kiln-init bin/kiln-sidecar bin/kiln-login $(CLUSTER)
bin/kilnd:
	$(STATIC) go build -ldflags '$(LDFLAGS)' -o $@ ./daemon

bin/kiln-hook:
	$(STATIC) go build -ldflags '$(LDFLAGS)' -o $@ ./hookshim

bin/kiln-agent:
	$(STATIC) go build -ldflags '-s -w' -o $@ ./daemon/kiln-agent

bin/kiln-init:
	$(STATIC) go build -ldflags '$(LDFLAGS)' -o $@ ./daemon/kiln-init

bin/kiln-sidecar:
	$(STATIC) go build -ldflags '-s -w' -o $@ ./daemon/kiln-sidecar

bin/kiln-login:
	$(STATIC) go build -C login -ldflags '-s -w' -o $(CURDIR)/$@ .

$(CLUSTER):
	$(STATIC) go build -C e2e/cluster -ldflags '$(LDFLAGS)' -o $(CURDIR)/$@ .

.PHONY: image
image: ## Build the image with a Docker engine: make image IMAGE=registry/kiln:tag
	@[[ -n "$(IMAGE)" ]] || { echo 'make image: set IMAGE, for example IMAGE=registry.example.com/kiln:dev' >&2; exit 2; }
	docker build --build-arg VERSION=$(VERSION) --build-arg GO_IMAGE=$(GO_IMAGE) --tag $(IMAGE) .

# What a release has beside the image. The chart gets the version without its v.
.PHONY: dist
dist: bin/helm ## Write the binaries for both architectures, the chart and checksums to bin/dist
	@mkdir -p bin/dist
	@for arch in amd64 arm64; do \
	  GOARCH=$$arch $(STATIC) go build -ldflags '$(LDFLAGS)' -o bin/dist/kilnd-linux-$$arch ./daemon; \
	  GOARCH=$$arch $(STATIC) go build -ldflags '$(LDFLAGS)' -o bin/dist/kiln-hook-linux-$$arch ./hookshim; \
	  GOARCH=$$arch $(STATIC) go build -ldflags '-s -w' -o bin/dist/kiln-agent-linux-$$arch ./daemon/kiln-agent; \
	  GOARCH=$$arch $(STATIC) go build -ldflags '$(LDFLAGS)' -o bin/dist/kiln-init-linux-$$arch ./daemon/kiln-init; \
	  GOARCH=$$arch $(STATIC) go build -ldflags '-s -w' -o bin/dist/kiln-sidecar-linux-$$arch ./daemon/kiln-sidecar; \
	  GOARCH=$$arch $(STATIC) go build -C login -ldflags '-s -w' -o $(CURDIR)/bin/dist/kiln-login-linux-$$arch .; \
	done
	bin/helm package charts/kiln --destination bin/dist --version $(patsubst v%,%,$(VERSION)) --app-version $(VERSION)
	cd bin/dist && rm -f SHA256SUMS && sha256sum * > SHA256SUMS

##@ Check

# Some 60 test binaries of 30 MB are linked, run and thrown away: in memory where there is room.
.PHONY: unit
unit: $(HELMS) ## Run the product's unit and script tests; needs no root and no cluster
	$(STATIC) go test -C login -shuffle=on $(TESTARGS) ./... & \
	$(STATIC) $(FEWER_GC) GOTMPDIR=$$(hack/tmpfs 4) go test -p $(WIDTH) -timeout $(PATIENCE) -shuffle=on $(TESTARGS) $$(go list ./... | grep -v '^kiln/e2e/') || failed=yes; \
	wait $$! && [[ -z $${failed:-} ]]

# The detector takes several times the processor of the tests, so that it has a target of
# its own, and gets the packages alone in which it can find something, with a fifth of the
# random cases (-short). The tests of the suite's own packages link all of client-go: they
# run here alone.
.PHONY: race
race: $(HELMS) ## Run the unit tests of what is concurrent with the race detector, and those of the end-to-end suite's own packages
	$(RACE) go test -race -short -p $(RACE_WIDTH) -timeout $(PATIENCE) -shuffle=on $(TESTARGS) $$(hack/concurrent)
	$(STATIC) go test -C e2e/helm -shuffle=on $(TESTARGS) ./...
	$(RACE) go test -C e2e/cluster -race -shuffle=on $(TESTARGS) ./...
	$(RACE) go test -C e2e/parity -race -shuffle=on $(TESTARGS) ./...

.PHONY: e2e
e2e: build $(HELMS) $(REGISTRY) ## Run the end-to-end tests on the local cluster or on that of KUBECONFIG
	@hack/with-cluster env $(STATIC) go test -tags e2e -count=1 -timeout 30m $(TESTARGS) ./e2e/...

.PHONY: e2e-long
e2e-long: build $(HELMS) $(REGISTRY) ## Run the end-to-end tests ten times over, those that take long too
	@hack/with-cluster env KILN_E2E_LONG=1 $(STATIC) go test -tags e2e -count=10 -timeout 4h $(TESTARGS) ./e2e/...

.PHONY: e2e-nodes
e2e-nodes: build $(HELMS) ## Run the tests that take two nodes, on a cluster that is stopped again or on that of KUBECONFIG
	@hack/with-nodes env $(STATIC) go test -tags e2e -count=1 -timeout 15m -run '^TestNodes$$' $(TESTARGS) ./e2e

.PHONY: bench
bench: build ## Measure kiln against bare pods and the gate against no gate, or with BENCHARGS='--compare REV' against REV, and whether its targets hold
	@hack/with-cluster env $(STATIC) go run ./e2e/bench $(BENCHARGS)
ifeq ($(findstring --compare,$(BENCHARGS)),)
	$(STATIC) go test -run '^$$' -bench '^BenchmarkGate$$' ./internal/gate
endif

.PHONY: parity
parity: build ## Compare kiln's builds with Docker's, all of them, and write docs/parity.md; KANIKO=image checks another Kaniko
ifeq ($(KANIKO),)
	@hack/parity --write $(CURDIR)/docs/parity.md
else
	@hack/parity --executor '$(KANIKO)' --flavor '$(KANIKO_FLAVOR)'
endif

.PHONY: parity-fast
parity-fast: build ## Compare those builds that take about a second, and check the table of docs/parity.md
	@hack/parity --fast --check $(CURDIR)/docs/parity.md

.PHONY: soak
soak: ## Attack the exchange for SOAK (5m) and hold kilnd's memory to half of the chart's limit
	$(STATIC) KILN_SOAK=$(SOAK) go test -count=1 -timeout 1h -run '^TestSoak$$' -v ./internal/app

.PHONY: chaos
chaos: build $(HELMS) ## Kill workers and delete build pods for CHAOS (5m) under six steps at a time, and want none of them to fail
	@hack/with-cluster env KILN_CHAOS=$(CHAOS) $(STATIC) go test -tags e2e -count=1 -timeout 1h -run '^TestChaos$$' -v ./e2e

# What a test finds new is made smaller a little: the default, a minute for each, leaves
# no time to look for more where two runs of one input differ in what they cover.
.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZTIME (30s) each
	@grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do \
	  for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' "$$file"); do \
	    echo "== $$name in $$(dirname "$$file")"; \
	    (cd "$$(dirname "$$file")" && go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x .); \
	  done; \
	done

.PHONY: vuln
vuln: ## Look for known vulnerabilities that the programs reach; asks vuln.go.dev
	@for module in . login; do \
	  echo "== govulncheck $$module"; \
	  (cd "$$module" && $(STATIC) go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK) ./...); \
	done

.PHONY: lint
lint: $(LINT) $(ACTIONLINT) ## Run the linters, go vet for every build tag, and the format check
	@for module in $(TYPED_MODULES); do \
	  echo "== lint $$module"; \
	  (cd "$$module" && $(STATIC) go vet -tags e2e ./... && $(STATIC) $(CURDIR)/$(LINT) run --config $(CURDIR)/.golangci.yml ./...); \
	done
	@echo '== workflows'
	@$(ACTIONLINT) -shellcheck= -pyflakes=
	@echo '== format'
	@$(LINT) fmt --diff --config .golangci.yml

.PHONY: verify
verify: ## Check that go.mod and go.sum of every module are tidy
	@for module in $(MODULES); do \
	  echo "== go mod tidy $$module"; \
	  (cd "$$module" && go mod tidy -diff); \
	done

# What the rendered chart is compared with is rendered after the chart is written.
.PHONY: generate
generate: $(HELMS) ## Write all golden files, and the generated parts of documents and chart: read the diff
	$(STATIC) go test $(shell grep -rl --include='*_test.go' '"kiln/internal/golden"' internal | xargs -n1 dirname | sort -u | sed 's,^,./,') -update
	$(STATIC) go test -C e2e/helm -run '^TestRender$$' . -update

.PHONY: fmt
fmt: $(LINT) ## Format the Go code
	$(LINT) fmt --config .golangci.yml

$(LINT): tools/go.mod tools/go.sum
	@echo 'building golangci-lint (a few minutes with a cold cache)'
	$(STATIC) go build -C tools -ldflags '-s -w' -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(ACTIONLINT): tools/actionlint/go.mod tools/actionlint/go.sum
	$(STATIC) go build -C tools/actionlint -ldflags '-s -w' -o $(CURDIR)/$@ github.com/rhysd/actionlint/cmd/actionlint

$(HELMS): bin/%: e2e/helm/go.mod e2e/helm/go.sum
	@echo 'building $* (a few minutes with a cold cache)'
	$(STATIC) go build -C e2e/helm -ldflags '-s -w' -o $(CURDIR)/$@ $(if $(filter helm3,$*),helm.sh/helm/v3/cmd/helm,helm.sh/helm/v4/cmd/helm)

$(REGISTRY): e2e/distribution/go.mod e2e/distribution/go.sum $(wildcard e2e/distribution/*.go)
	@echo 'building the CNCF registry (a minute with a cold cache)'
	$(STATIC) go build -C e2e/distribution -ldflags '-s -w' -o $(CURDIR)/$@ .

##@ Local cluster

.PHONY: cluster-up
cluster-up: $(CLUSTER) ## Start the local cluster and install the Debian packages it needs
	$(CLUSTER) up --install

.PHONY: cluster-down
cluster-down: $(CLUSTER) ## Stop the local cluster; what was built for it stays cached
	$(CLUSTER) down
