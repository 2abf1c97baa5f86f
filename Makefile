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
	install -D -m 755 $(BUILT)/uaio $(AT)/bin/uaio
	install -D -m 755 $(BUILT)/libuaio_preload.so $(AT)/lib/uaio/libuaio_preload.so
	install -D -m 755 $(BUILT)/libaio.so.1 $(AT)/lib/uaio/libaio.so.1
	install -D -m 755 $(BUILT)/libaio.so.1t64 $(AT)/lib/uaio/libaio.so.1t64
	install -D -m 644 $(BUILT)/libaio.a $(AT)/lib/uaio/libaio.a
	ln -sf libaio.so.1 $(AT)/lib/uaio/libaio.so
	install -D -m 644 crates/libaio/include/libaio.h $(AT)/include/uaio/libaio.h
	install -d $(AT)/lib/uaio/pkgconfig
	sed -e 's|@PREFIX@|$${pcfiledir}/../../..|' -e 's|@VERSION@|0.3.113|' crates/libaio/libaio.pc.in > $(AT)/lib/uaio/pkgconfig/libaio.pc
	install -D -m 755 $(BUILT)/aiocp $(AT)/libexec/uaio/aiocp
	for page in docs/man/man*/*; do install -D -m 644 $$page $(AT)/share/man/$$(basename $$(dirname $$page))/$$(basename $$page); done

uninstall:
	rm -f $(AT)/bin/uaio $(AT)/libexec/uaio/aiocp
	rm -rf $(AT)/lib/uaio $(AT)/include/uaio
	for page in docs/man/man*/*; do rm -f $(AT)/share/man/$$(basename $$(dirname $$page))/$$(basename $$page); done
	-rmdir $(AT)/libexec/uaio
