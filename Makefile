# make install PREFIX=/usr/local DESTDIR=: the command, the libraries, the header, the manual pages, the bundled client.
PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
BUILT ?= target/release
AT = $(DESTDIR)$(PREFIX)
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
STATIC = $(or $(CARGO_TARGET_DIR),target)/$(HOST)/release/uaio-conformance

.PHONY: all test install uninstall conformance-static conformance-static-check conformance-results semantics

all:
	$(CARGO) build --release --locked

test:
	$(CARGO) test --workspace --locked

install: all
	$(BUILT)/uaio install $(AT)

uninstall:
	rm -f $(AT)/bin/uaio $(AT)/libexec/uaio/aiocp
	rm -rf $(AT)/lib/uaio $(AT)/include/uaio
	for page in docs/man/man*/*; do rm -f $(AT)/share/man/$$(basename $$(dirname $$page))/$$(basename $$page); done
	-rmdir $(AT)/libexec/uaio

# One file that can be carried to another system; docs/conformance.md.
conformance-static:
	RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked -p uaio-conformance --target $(HOST)
	@echo $(STATIC)

# Runs it with nothing around it. As root.
conformance-static-check: conformance-static
	conformance/static-check.sh $(STATIC)

# The tables in conformance/results, as they are on this machine.
conformance-results: all
	conformance/results/make.sh $(BUILT)/uaio

semantics:
	$(CARGO) run --quiet --locked -p uaio-conformance -- --semantics > docs/semantics.md.new
	mv docs/semantics.md.new docs/semantics.md
