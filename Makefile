# make install PREFIX=/usr/local DESTDIR=: the command, the libraries, the bundled client.
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
	install -D -m 755 $(BUILT)/uaio $(AT)/bin/uaio
	install -D -m 755 $(BUILT)/libuaio_preload.so $(AT)/lib/uaio/libuaio_preload.so
	install -D -m 755 $(BUILT)/libaio.so.1 $(AT)/lib/uaio/libaio.so.1
	install -D -m 755 $(BUILT)/libaio.so.1t64 $(AT)/lib/uaio/libaio.so.1t64
	install -D -m 644 $(BUILT)/libaio.a $(AT)/lib/uaio/libaio.a
	install -D -m 755 $(BUILT)/aiocp $(AT)/libexec/uaio/aiocp

uninstall:
	rm -f $(AT)/bin/uaio $(AT)/libexec/uaio/aiocp
	rm -rf $(AT)/lib/uaio
	-rmdir $(AT)/libexec/uaio
