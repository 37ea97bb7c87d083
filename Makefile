# Scruple. "make demo" shows the main job, "make test" runs the tests; "make help" lists the rest.

GO          ?= go
GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 10s
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS     := -s -w -X github.com/scruple-agent/scruple/agent.Version=$(VERSION)
GOFLAGS_OUT := -trimpath -ldflags '$(LDFLAGS)'
AGENT       := ./agent/cmd/scruple
RECEIVER    := ./uploader/cmd/scruple-receiver

export CGO_ENABLED ?= 0

.PHONY: help demo build test e2e race lint bench generate cross fuzz clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## the main job end to end on loopback, with the embedded defaults
	@$(GO) run ./agent/cmd/demo

build: ## both binaries for this machine, in bin/
	$(GO) build $(GOFLAGS_OUT) -o bin/scruple $(AGENT)
	$(GO) build $(GOFLAGS_OUT) -o bin/scruple-receiver $(RECEIVER)

test: ## all tests; also the portable ones for arm64 and armv7 under qemu-user, where it is installed
	$(GO) run ./agent/internal/testrun ./...

e2e: ## the daemon against sensors of real kernels in QEMU, and real services; E2E=accel_arm64 or E2E=gpsd for one; README says what it needs
	$(GO) test -tags e2e -count=1 -timeout 30m -v -run 'Test(IIO|Services)/$(E2E)' ./agent/internal/e2e

race: ## the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short ./agent/... ./uploader/... ./sensors/... ./hasher/...

lint: ## formatting, vet for every processor that has assembly or is shipped, staticcheck
	@out=$$($(GO) run $(GOFUMPT) -l .); test -z "$$out" || { echo "not gofumpt-formatted:"; echo "$$out"; exit 1; }
	@for arch in amd64 arm64 arm riscv64; do echo "vet linux/$$arch"; GOOS=linux GOARCH=$$arch $(GO) vet ./... || exit 1; done
	@for os in darwin windows; do echo "vet $$os"; GOOS=$$os GOARCH=arm64 $(GO) vet ./... || exit 1; done
	$(GO) run $(STATICCHECK) ./...

# FULL=1 takes ten runs or more of everything, on larger books, and writes bench/results.
ifdef FULL
LANES := -runs 10 -rounds 600 -out results/lanes.txt
PHONE := -rounds 11 -out results/phone.txt
VCARD := -rounds 11 -out results/vcard.txt
WHOLE := -runs 10 -photo-people 10000 -out results/wholepath.txt
else
LANES := -runs 3 -rounds 200
PHONE := -rounds 5
VCARD := -rounds 5 -people 50000 -photo-people 5000
WHOLE := -runs 3 -people 50000 -photo-people 5000
endif

bench: ## every promised ratio beside other implementations, a minute or two; FULL=1: as in bench/results, ten minutes
	$(GO) test -run '^$$' -bench 'Digests/n=65536' -benchtime 0.2s ./hasher
	@# A comparison that the machine disturbs too much says so and fails; the others still run.
	@# hashtree's binding wants cgo.
	-cd bench && CGO_ENABLED=$(if $(shell command -v gcc cc 2>/dev/null),1,0) $(GO) run ./lanes_compare $(LANES)
	-cd bench && $(GO) run ./phone_compare $(PHONE)
	-cd bench && $(GO) run ./vcard_compare $(VCARD)
	-cd bench && $(GO) run ./wholepath $(WHOLE)
	-cd bench && $(GO) run ./evaluate

generate: ## regenerate what is generated; a clean tree stays clean
	$(GO) generate ./...

# os/arch[/arm version]: what client hardware runs on. The receiver is a server's: linux only.
TARGETS := linux/amd64 linux/arm64 linux/arm/7 linux/arm/6 linux/riscv64 darwin/arm64 windows/amd64 android/arm64

cross: ## static binaries for all targets, in dist/
	@mkdir -p dist
	@for t in $(TARGETS); do \
	  set -- $$(echo $$t | tr / ' '); os=$$1; arch=$$2; arm=$$3; ext=; test $$os = windows && ext=.exe; \
	  out=dist/scruple-$$os-$$arch$${arm:+v$$arm}$$ext; \
	  CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch GOARM=$$arm $(GO) build $(GOFLAGS_OUT) -o $$out $(AGENT) || exit 1; \
	  printf '%-36s %9d bytes\n' $$out $$(wc -c < $$out); \
	done
	@for arch in amd64 arm64; do \
	  out=dist/scruple-receiver-linux-$$arch; \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build $(GOFLAGS_OUT) -o $$out $(RECEIVER) || exit 1; \
	  printf '%-36s %9d bytes\n' $$out $$(wc -c < $$out); \
	done

fuzz: ## every fuzz target for FUZZTIME (10s), two at a time
	@for pkg in $$($(GO) list ./...); do \
	  $(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' | sed "s|^|$$pkg |"; \
	done | xargs -P 2 -L 1 ./agent/internal/fuzz.sh $(FUZZTIME)

clean: ## remove what was built
	rm -rf bin dist
