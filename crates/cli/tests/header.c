/* Uses everything that libaio.h declares; compiled as C and as C++, with our header and with the distribution's. */
#ifndef _GNU_SOURCE
#ifdef WITH_GNU
#define _GNU_SOURCE
#endif
#endif
#include <libaio.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int called;

static void check(int ok, const char *what, int line)
{
	if (!ok) {
		fprintf(stderr, "line %d: %s\n", line, what);
		exit(1);
	}
}
#define CHECK(x) check(x, #x, __LINE__)

static void done(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
	CHECK(ctx != NULL && iocb != NULL && res2 == 0);
	CHECK(res >= 0);
	called++;
}

static void dump(const char *name, const struct iocb *iocb)
{
	const unsigned char *bytes = (const unsigned char *)iocb;
	size_t i;
	printf("%-9s", name);
	for (i = 0; i < sizeof(*iocb); i++)
		printf("%02x%s", bytes[i], i % 8 == 7 ? " " : "");
	printf("\n");
}

static void layouts(void)
{
	struct iocb iocb;
	struct iovec *iov = (struct iovec *)(uintptr_t)0x1122334455667788ULL;
	void *buf = (void *)(uintptr_t)0x99aabbccddeeff00ULL;
	io_prep_pread(&iocb, 3, buf, 0x123456, 0x7abbccddee); dump("pread", &iocb);
	io_set_eventfd(&iocb, 7); dump("eventfd", &iocb);
	io_set_callback(&iocb, (io_callback_t)(uintptr_t)0x5566); dump("callback", &iocb);
	io_prep_pwrite(&iocb, -1, buf, (size_t)-1, -1); dump("pwrite", &iocb);
	io_prep_preadv(&iocb, 3, iov, 5, 6); dump("preadv", &iocb);
	io_prep_pwritev(&iocb, 3, iov, -5, 6); dump("pwritev", &iocb);
	io_prep_preadv2(&iocb, 3, iov, 5, 6, 8); dump("preadv2", &iocb);
	io_prep_pwritev2(&iocb, 3, iov, 5, 6, -1); dump("pwritev2", &iocb);
	io_prep_fsync(&iocb, 3); dump("fsync", &iocb);
	io_prep_fdsync(&iocb, 3); dump("fdsync", &iocb);
	io_prep_poll(&iocb, 3, POLLIN); dump("poll", &iocb);
	io_prep_poll(&iocb, 3, -1); dump("poll -1", &iocb);
	printf("sizes %zu %zu %zu %zu %zu %zu %zu %zu %zu\n", sizeof(struct iocb), sizeof(struct io_event), sizeof(struct io_iocb_common),
	       sizeof(struct io_iocb_vector), sizeof(struct io_iocb_poll), sizeof(struct io_iocb_sockaddr), sizeof(struct io_sigset),
	       sizeof(struct io_sigset_compat), sizeof(io_iocb_cmd_t));
	printf("commands %d %d %d %d %d %d %d %d\n", IO_CMD_PREAD, IO_CMD_PWRITE, IO_CMD_FSYNC, IO_CMD_FDSYNC, IO_CMD_POLL, IO_CMD_NOOP,
	       IO_CMD_PREADV, IO_CMD_PWRITEV);
	iocb.u.saddr.addr = NULL;
	iocb.u.saddr.len = 0;
	iocb.u.c.__pad3 = 0;
}

static void one(io_context_t ctx, struct iocb *iocb, long expected)
{
	struct io_event event;
	struct timespec ten = { 10, 0 };
	CHECK(io_submit(ctx, 1, &iocb) == 1);
	CHECK(io_getevents(ctx, 1, 1, &event, &ten) == 1);
	CHECK(event.obj == iocb && event.data == iocb->data);
	CHECK((long)event.res == expected && event.res2 == 0);
}

int main(int argc, char **argv)
{
	io_context_t ctx = NULL, queue;
	struct iocb iocb, *p = &iocb;
	struct io_event event;
	struct iovec iov[2];
	struct timespec zero = { 0, 0 };
	sigset_t mask;
	char text[] = "hello, world", back[13];
	uint64_t count = 0;
	int pipes[2], fd, efd;

	(void)argc;
	layouts();
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && pipe(pipes) == 0);
	errno = 77;
	CHECK(io_setup(-1, &ctx) == -EINVAL && io_setup(1, NULL) == -EFAULT && errno == 77);
	CHECK(io_destroy(NULL) == -EINVAL && io_submit(NULL, 0, NULL) == -EINVAL);
	CHECK(io_setup(8, &ctx) == 0 && ctx != NULL);
	io_prep_pwrite(&iocb, fd, text, 13, 0); one(ctx, p, 13);
	memset(back, 0, sizeof(back));
	io_prep_pread(&iocb, fd, back, 13, 0); iocb.data = back; one(ctx, p, 13);
	CHECK(memcmp(text, back, 13) == 0);
	iov[0].iov_base = back; iov[0].iov_len = 5; iov[1].iov_base = back + 5; iov[1].iov_len = 8;
	io_prep_pwritev(&iocb, fd, iov, 2, 100); one(ctx, p, 13);
	memset(back, 0, sizeof(back));
	io_prep_preadv2(&iocb, fd, iov, 2, 100, 0); one(ctx, p, 13);
	CHECK(memcmp(text, back, 13) == 0);
	io_prep_preadv(&iocb, fd, iov, 1, 100); one(ctx, p, 5);
	io_prep_pwritev2(&iocb, fd, iov, 2, 200, 0); one(ctx, p, 13);
	io_prep_fsync(&iocb, fd); one(ctx, p, 0);
	io_prep_fdsync(&iocb, fd); one(ctx, p, 0);
	io_prep_poll(&iocb, fd, POLLIN); one(ctx, p, POLLIN);
	efd = eventfd(0, 0);
	io_prep_pread(&iocb, fd, back, 13, 0); io_set_eventfd(&iocb, efd); one(ctx, p, 13);
	CHECK(read(efd, &count, 8) == 8 && count == 1);
	iocb.aio_lio_opcode = IO_CMD_NOOP;
	CHECK(io_submit(ctx, 1, &p) == -EINVAL);
	io_prep_poll(&iocb, pipes[0], POLLIN);
	CHECK(io_submit(ctx, 1, &p) == 1);
	CHECK(io_cancel(ctx, p, &event) == -EINPROGRESS);
	sigemptyset(&mask);
	CHECK(io_pgetevents(ctx, 1, 1, &event, NULL, &mask) == 1 && event.res == 0);
	CHECK(io_getevents(ctx, 0, 1, &event, &zero) == 0 && io_pgetevents(ctx, -1, 0, NULL, NULL, NULL) == -EINVAL);
	CHECK(io_destroy(ctx) == 0 && io_destroy(ctx) == -EINVAL);

	memset(&queue, 0xff, sizeof(queue));
	CHECK(io_queue_init(0, &queue) == -EINVAL && io_queue_init(8, &queue) == 0);
	CHECK(io_fsync(queue, &iocb, done, fd) == 1);
	while (called < 1) CHECK(io_queue_run(queue) == 0);
	CHECK(io_fdsync(queue, &iocb, done, fd) == 1);
	while (called < 2) CHECK(io_queue_run(queue) == 0);
	CHECK(io_poll(queue, &iocb, done, fd, POLLIN) == 1);
	while (called < 3) CHECK(io_queue_run(queue) == 0);
	CHECK(io_queue_release(queue) == 0);
	CHECK(errno == 77);
	printf("ok\n");
	return 0;
}
