/* libaio.h - Linux native AIO for C and C++ programs.
 *
 * Source-compatible with the libaio 0.3.113 interface: the same names, types and layouts. A program
 * compiled with this header runs on any libaio.so.1, and the other way round.
 *
 * Every function returns 0 or a count, or a negated error number (-EINVAL); errno is left as it was.
 * io_setup(2), io_submit(2), io_getevents(2), io_cancel(2) and io_destroy(2) tell what each call does.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef __LIBAIO_H /* the name that programs test for */
#define __LIBAIO_H

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/select.h> /* sigset_t, also where <signal.h> hides it (-std=c99) */
#include <sys/types.h>

#if !defined(__BYTE_ORDER__) || !defined(__SIZEOF_POINTER__) || !defined(__SIZEOF_LONG__)
#error "libaio.h: the compiler does not tell its byte order and the sizes of its types"
#elif __SIZEOF_LONG__ != __SIZEOF_POINTER__
#error "libaio.h: long and pointers differ in size"
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct timespec;
struct sockaddr;
struct iovec;

/* A context; NULL is none. In truth the address of its completion ring. */
typedef struct io_context *io_context_t;

/* What an iocb asks for (aio_lio_opcode). The kernel refuses IO_CMD_NOOP. */
typedef enum io_iocb_cmd {
	IO_CMD_PREAD = 0,
	IO_CMD_PWRITE = 1,
	IO_CMD_FSYNC = 2,
	IO_CMD_FDSYNC = 3,
	IO_CMD_POLL = 5,
	IO_CMD_NOOP = 6,
	IO_CMD_PREADV = 7,
	IO_CMD_PWRITEV = 8
} io_iocb_cmd_t;

/* The kernel's structures have the same layout on every machine: words of 64 bits, some split into two of 32.
 *
 * _AIO_HALVES declares such a pair: `low` comes first in memory on little-endian machines, last on big-endian
 * ones. _AIO_WORD declares a pointer or long and, where that has 32 bits only, `pad` to fill the word up, on the
 * side of its high half.
 */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define _AIO_HALVES(low, high) low; high
#define _AIO_HIGH_FIRST 0
#else
#define _AIO_HALVES(low, high) high; low
#define _AIO_HIGH_FIRST 4
#endif
#if __SIZEOF_POINTER__ == 8
#define _AIO_WORD(field, pad) field
#define _AIO_WORD_AT 0
#else
#define _AIO_WORD(field, pad) _AIO_HALVES(field, unsigned pad)
#define _AIO_WORD_AT _AIO_HIGH_FIRST
#endif

/* IO_CMD_PREAD and IO_CMD_PWRITE; flags and resfd are those of every command. */
struct io_iocb_common {
	_AIO_WORD(void *buf, __pad1);
	_AIO_WORD(unsigned long nbytes, __pad2);
	long long offset;
	long long __pad3; /* must be 0 */
	unsigned flags;   /* bit 0: signal resfd; bit 1: aio_reqprio counts */
	unsigned resfd;   /* an eventfd */
};

/* IO_CMD_PREADV and IO_CMD_PWRITEV: the same words under their other names. */
struct io_iocb_vector {
	_AIO_WORD(const struct iovec *vec, __pad1);
	_AIO_WORD(unsigned long nr, __pad2);
	long long offset;
};

/* IO_CMD_POLL: POLLIN and its kind. The event's res holds those that are ready. */
struct io_iocb_poll {
	_AIO_HALVES(int events, int __pad1);
};

/* Used by no command. */
struct io_iocb_sockaddr {
	_AIO_WORD(struct sockaddr *addr, __pad1);
	_AIO_WORD(unsigned long len, __pad2);
};

/* One request. It may be re-used or freed as soon as io_submit has accepted it. */
struct iocb {
	_AIO_WORD(void *data, __pad1); /* handed back in the event */
	_AIO_HALVES(unsigned key, unsigned aio_rw_flags); /* key is the kernel's; RWF_NOWAIT and its kind */
	short aio_lio_opcode;
	short aio_reqprio;
	int aio_fildes;
	union {
		struct io_iocb_common c;
		struct io_iocb_vector v;
		struct io_iocb_poll poll;
		struct io_iocb_sockaddr saddr;
	} u;
};

/* One completed request. res is a count or a negated error number: compare it as a long. res2 is 0. */
struct io_event {
	_AIO_WORD(void *data, __pad1);
	_AIO_WORD(struct iocb *obj, __pad2);
	_AIO_WORD(unsigned long res, __pad3);
	_AIO_WORD(unsigned long res2, __pad4);
};

/* What the system call io_pgetevents takes in the place of a signal mask: the mask's address and its size. */
struct io_sigset {
	unsigned long ss;
	unsigned long ss_len;
};

/* The same for a 32-bit program on a 64-bit kernel. */
struct io_sigset_compat {
	_AIO_WORD(unsigned long ss, __ss_pad);
	unsigned long ss_len;
};

#if defined(__cplusplus) && __cplusplus >= 201103L
#define _AIO_ASSERT(fact) static_assert(fact, "libaio.h: " #fact)
#elif !defined(__cplusplus) && defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define _AIO_ASSERT(fact) _Static_assert(fact, "libaio.h: " #fact)
#endif
#ifdef _AIO_ASSERT
_AIO_ASSERT(sizeof(struct iocb) == 64);
_AIO_ASSERT(offsetof(struct iocb, data) == 0 + _AIO_WORD_AT);
_AIO_ASSERT(offsetof(struct iocb, key) == 8 + _AIO_HIGH_FIRST);
_AIO_ASSERT(offsetof(struct iocb, aio_rw_flags) == 12 - _AIO_HIGH_FIRST);
_AIO_ASSERT(offsetof(struct iocb, aio_lio_opcode) == 16);
_AIO_ASSERT(offsetof(struct iocb, aio_reqprio) == 18);
_AIO_ASSERT(offsetof(struct iocb, aio_fildes) == 20);
_AIO_ASSERT(offsetof(struct iocb, u) == 24);
_AIO_ASSERT(sizeof(struct io_iocb_common) == 40);
_AIO_ASSERT(offsetof(struct io_iocb_common, buf) == 0 + _AIO_WORD_AT);
_AIO_ASSERT(offsetof(struct io_iocb_common, nbytes) == 8 + _AIO_WORD_AT);
_AIO_ASSERT(offsetof(struct io_iocb_common, offset) == 16);
_AIO_ASSERT(offsetof(struct io_iocb_common, __pad3) == 24);
_AIO_ASSERT(offsetof(struct io_iocb_common, flags) == 32);
_AIO_ASSERT(offsetof(struct io_iocb_common, resfd) == 36);
_AIO_ASSERT(sizeof(struct io_iocb_vector) == 24);
_AIO_ASSERT(offsetof(struct io_iocb_vector, vec) == offsetof(struct io_iocb_common, buf));
_AIO_ASSERT(offsetof(struct io_iocb_vector, nr) == offsetof(struct io_iocb_common, nbytes));
_AIO_ASSERT(offsetof(struct io_iocb_vector, offset) == offsetof(struct io_iocb_common, offset));
_AIO_ASSERT(sizeof(struct io_iocb_poll) == 8);
_AIO_ASSERT(offsetof(struct io_iocb_poll, events) == 0 + _AIO_HIGH_FIRST);
_AIO_ASSERT(sizeof(struct io_iocb_sockaddr) == 16);
_AIO_ASSERT(offsetof(struct io_iocb_sockaddr, addr) == 0 + _AIO_WORD_AT);
_AIO_ASSERT(offsetof(struct io_iocb_sockaddr, len) == 8 + _AIO_WORD_AT);
_AIO_ASSERT(sizeof(struct io_event) == 32);
_AIO_ASSERT(offsetof(struct io_event, data) == 0 + _AIO_WORD_AT);
_AIO_ASSERT(offsetof(struct io_event, obj) == 8 + _AIO_WORD_AT);
_AIO_ASSERT(offsetof(struct io_event, res) == 16 + _AIO_WORD_AT);
_AIO_ASSERT(offsetof(struct io_event, res2) == 24 + _AIO_WORD_AT);
_AIO_ASSERT(sizeof(struct io_sigset) == 2 * sizeof(long));
#undef _AIO_ASSERT
#endif
#undef _AIO_HALVES
#undef _AIO_HIGH_FIRST
#undef _AIO_WORD
#undef _AIO_WORD_AT

/* What io_queue_run calls for each event. */
typedef void (*io_callback_t)(io_context_t ctx, struct iocb *iocb, long res, long res2);

/* The system calls. */
extern int io_setup(int maxevents, io_context_t *ctxp);
extern int io_destroy(io_context_t ctx);
extern int io_submit(io_context_t ctx, long nr, struct iocb *ios[]);
extern int io_cancel(io_context_t ctx, struct iocb *iocb, struct io_event *evt);
extern int io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events, struct timespec *timeout);
extern int io_pgetevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
			 struct timespec *timeout, sigset_t *sigmask);

/* io_setup that does not mind what *ctxp was; io_destroy under another name; and a loop that takes the events
 * which are there and calls their callbacks: every iocb must have one. */
extern int io_queue_init(int maxevents, io_context_t *ctxp);
extern int io_queue_release(io_context_t ctx);
extern int io_queue_run(io_context_t ctx);

/* Each io_prep_* clears the whole iocb: io_set_callback and io_set_eventfd come after it. */

static inline void io_set_callback(struct iocb *iocb, io_callback_t cb)
{
	/* Copied, for ISO C has no conversion from a function to a pointer to void. */
	memcpy(&iocb->data, &cb, sizeof(cb));
}

static inline void io_set_eventfd(struct iocb *iocb, int eventfd)
{
	iocb->u.c.flags |= 1U;
	iocb->u.c.resfd = (unsigned)eventfd;
}

static inline void io_prep_pread(struct iocb *iocb, int fd, void *buf, size_t count, long long offset)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IO_CMD_PREAD;
	iocb->aio_fildes = fd;
	iocb->u.c.buf = buf;
	iocb->u.c.nbytes = count;
	iocb->u.c.offset = offset;
}

static inline void io_prep_pwrite(struct iocb *iocb, int fd, void *buf, size_t count, long long offset)
{
	io_prep_pread(iocb, fd, buf, count, offset);
	iocb->aio_lio_opcode = IO_CMD_PWRITE;
}

static inline void io_prep_preadv2(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt, long long offset,
				   int flags)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IO_CMD_PREADV;
	iocb->aio_fildes = fd;
	iocb->aio_rw_flags = (unsigned)flags;
	iocb->u.v.vec = iov;
	iocb->u.v.nr = (unsigned long)iovcnt;
	iocb->u.v.offset = offset;
}

static inline void io_prep_pwritev2(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt, long long offset,
				    int flags)
{
	io_prep_preadv2(iocb, fd, iov, iovcnt, offset, flags);
	iocb->aio_lio_opcode = IO_CMD_PWRITEV;
}

static inline void io_prep_preadv(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt, long long offset)
{
	io_prep_preadv2(iocb, fd, iov, iovcnt, offset, 0);
}

static inline void io_prep_pwritev(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt, long long offset)
{
	io_prep_pwritev2(iocb, fd, iov, iovcnt, offset, 0);
}

static inline void io_prep_fsync(struct iocb *iocb, int fd)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IO_CMD_FSYNC;
	iocb->aio_fildes = fd;
}

static inline void io_prep_fdsync(struct iocb *iocb, int fd)
{
	io_prep_fsync(iocb, fd);
	iocb->aio_lio_opcode = IO_CMD_FDSYNC;
}

static inline void io_prep_poll(struct iocb *iocb, int fd, int events)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_lio_opcode = IO_CMD_POLL;
	iocb->aio_fildes = fd;
	iocb->u.poll.events = events;
}

/* These prepare the request, set its callback and submit it; they return what io_submit returns. */

static inline int io_fsync(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd)
{
	io_prep_fsync(iocb, fd);
	io_set_callback(iocb, cb);
	return io_submit(ctx, 1, &iocb);
}

static inline int io_fdsync(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd)
{
	io_prep_fdsync(iocb, fd);
	io_set_callback(iocb, cb);
	return io_submit(ctx, 1, &iocb);
}

static inline int io_poll(io_context_t ctx, struct iocb *iocb, io_callback_t cb, int fd, int events)
{
	io_prep_poll(iocb, fd, events);
	io_set_callback(iocb, cb);
	return io_submit(ctx, 1, &iocb);
}

#ifdef __cplusplus
}
#endif

#endif
