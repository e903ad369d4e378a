# Everything a person or the build machine does with this repository. "make" alone explains.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS   += --no-print-directory

# Any of these can be given on the command line: make unit PKG=./certs/... RUN=TestLoad
PKG      ?= ./...
RUN      ?=
FUZZTIME ?= 20s
BENCH    ?= .
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

BIN   := .cache/bin
LINT  := $(BIN)/golangci-lint
BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'

# Where goroutines meet. SQLite in pure Go is some ten times slower under the race
# detector, so the rooms that only keep data are not among them.
RACE_ROOMS := apikeys certs nemlogin rolecatalog accounts scheduler onboarding coredata organisation web
RACE_PKGS   = $(foreach room,$(wildcard $(RACE_ROOMS)),./$(room)/...)

.PHONY: help
help: ## Show this list
	@echo 'Usage: make TARGET [NAME=value ...]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'One test:       go test ./certs -run TestName        (or: make unit PKG=./certs/... RUN=TestName)'
	@echo 'One benchmark:  make bench PKG=./rolecatalog/... BENCH=Reconcile'

.PHONY: test
test: setup build lint unit race ## The whole check: set up, build, lint, all tests. What the build machine runs

.PHONY: setup
setup: ## Install what is missing: MariaDB's programs for the tests, the linter
	@.ci/setup

.PHONY: build
build: ## Build the static program: bin/rollebro
	go build ./...
	$(BUILD) -o bin/rollebro ./cmd/rollebro

.PHONY: lint
lint: $(LINT) ## Check go.mod, go vet, formatting and the rules of .golangci.yml
	@go mod tidy -diff || { echo 'go.mod or go.sum is not tidy: run "go mod tidy" and commit both' >&2; exit 1; }
	go vet ./...
	$(LINT) config verify
	$(LINT) run ./...

$(LINT):
	@.ci/setup

.PHONY: fmt
fmt: $(LINT) ## Format all Go files the way lint wants them
	$(LINT) fmt ./...

.PHONY: unit
unit: ## Run all tests (PKG=, RUN= to choose)
	PATH="$$PATH:/usr/sbin" go test -timeout 8m $(if $(RUN),-run '$(RUN)' -v) $(PKG)

.PHONY: race
race: ## Run the tests of the concurrent rooms under the race detector
ifneq ($(strip $(RACE_PKGS)),)
	PATH="$$PATH:/usr/sbin" CGO_ENABLED=1 go test -race -timeout 8m $(RACE_PKGS)
endif

.PHONY: cover
cover: ## Run all tests and write coverage.html
	PATH="$$PATH:/usr/sbin" go test -timeout 8m -coverprofile=coverage.out -coverpkg=./... ./...
	go tool cover -html=coverage.out -o coverage.html
	go tool cover -func=coverage.out | tail -n 1

.PHONY: bench
bench: ## Run the benchmarks, one package at a time (PKG=, BENCH= to choose)
	PATH="$$PATH:/usr/sbin" go test -p 1 -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m $(PKG)

.PHONY: fuzz
fuzz: ## Run every fuzz test for a while (FUZZTIME=20s each)
	@go list -f '{{$$p := .ImportPath}}{{range .TestGoFiles}}{{$$p}} {{$$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$$p}} {{$$.Dir}}/{{.}}{{"\n"}}{{end}}' $(PKG) | \
	while read -r package file; do \
		[[ -n $$file ]] || continue; \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "== $$package $$name"; \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime '$(FUZZTIME)' "$$package"; \
		done; \
	done

.PHONY: demo
demo: ## Run simulator, service and pages in one process, nothing to configure
	go run ./cmd/rollebro demo

.PHONY: clean
clean: ## Remove what make made (the linter too)
	rm -rf .cache bin coverage.out coverage.html
