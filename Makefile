# make install PREFIX=/usr/local DESTDIR=: the command, the libraries, the header, the manual pages, the bundled client.
PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
BUILT ?= target/release
AT = $(DESTDIR)$(PREFIX)

.PHONY: all test install uninstall

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
