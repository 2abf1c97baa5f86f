// checked FILE WAITING: run by checked.rs under AddressSanitizer and valgrind. Requests of every kind in flight, io_destroy, and then
// all their memory is filled with a pattern, in which nothing may change. WAITING 0: without reads of empty pipes.
// Exit status 2: there is no such engine here.
// checked: ends at once if other threads run while one waits for an io_uring, which not every valgrind can.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what) do { if (!(what)) { fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #what, errno); exit(1); } } while (0)

enum { ROUNDS = 12, EACH = 6, PAGE = 4096, VECTORS = 12, KINDS = 6, MOST = EACH * KINDS };

struct flight {
	io_context_t ctx;
	int buffered, direct, waiting, pipe[2], eventfd, count;
	struct iocb *iocbs[MOST];
	struct iovec *vectors[MOST];
	char *buffers[MOST];
};

static void fill(char *bytes, char value) { memset(bytes, value, PAGE); }

static int holds_only(const char *bytes, char value)
{
	int i;
	for (i = 0; i < PAGE && bytes[i] == value; i++)
		;
	return i == PAGE;
}

static struct iocb *next(struct flight *f)
{
	struct iocb *iocb = f->iocbs[f->count] = calloc(1, sizeof(*iocb));
	CHECK(iocb && !posix_memalign((void **)&f->buffers[f->count], PAGE, PAGE));
	fill(f->buffers[f->count], 'w');
	f->vectors[f->count] = NULL;
	return iocb;
}

// Of more entries than fit into the library's own place for them.
static struct iovec *vectors(struct flight *f)
{
	struct iovec *all = f->vectors[f->count] = calloc(VECTORS, sizeof(*all));
	int i;
	CHECK(all);
	for (i = 0; i < VECTORS; i++)
		all[i] = (struct iovec){ f->buffers[f->count] + i * (PAGE / 16), PAGE / 16 };
	return all;
}

static void prepare(struct flight *f, int kind, int i)
{
	struct iocb *iocb = next(f);
	char *buffer = f->buffers[f->count];
	switch (kind) {
	case 0: io_prep_pwrite(iocb, f->direct, buffer, PAGE, i * PAGE); break;
	case 1: io_prep_pread(iocb, f->direct, buffer, PAGE, i * PAGE); break;
	case 2: io_prep_preadv(iocb, f->buffered, vectors(f), VECTORS, i * PAGE); break;
	case 3: io_prep_poll(iocb, f->pipe[0], POLLIN); break;
	case 4: io_prep_fdsync(iocb, f->buffered); break;
	default: io_prep_pread(iocb, f->pipe[0], buffer, PAGE, 0); break;
	}
	io_set_eventfd(iocb, f->eventfd);
	iocb->data = buffer;
	f->count++;
}

// Everything in flight, and then what the kernel does not look at after io_submit is freed.
static void start(struct flight *f)
{
	int kind, i, ret;
	f->ctx = NULL, f->count = 0;
	f->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(f->eventfd >= 0 && pipe(f->pipe) == 0);
	for (kind = 0; kind < KINDS - !f->waiting; kind++)
		for (i = 0; i < EACH; i++)
			prepare(f, kind, i);
	ret = io_setup(MOST, &f->ctx);
	if (ret == -ENOSYS || ret == -EAGAIN)
		exit(2);
	CHECK(ret == 0);
	CHECK(io_submit(f->ctx, f->count, f->iocbs) == f->count);
	for (i = 0; i < f->count; i++)
		free(f->iocbs[i]), free(f->vectors[i]);
}

// Takes some events: into exactly as much memory as they need, once on the heap and once on the stack.
static void take_some(struct flight *f)
{
	struct timespec none = { 0, 0 };
	struct io_event here[3] = { { 0 } }, *there = calloc(2, sizeof(*there));
	sigset_t mask;
	long i, got;
	sigemptyset(&mask);
	CHECK(there && io_getevents(f->ctx, 2, 2, there, NULL) == 2);
	CHECK((long)there[0].res >= 0 && (long)there[1].res >= 0);
	free(there);
	got = io_pgetevents(f->ctx, 0, 3, here, &none, &mask);
	CHECK(got >= 0 && got <= 3);
	for (i = 0; i < got; i++)
		CHECK((long)here[i].res >= 0 && here[i].data);
}

// The memory and the eventfd's number are something else now; what comes late would be seen.
static void reuse(struct flight *f)
{
	uint64_t count;
	int i, fresh = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(fresh >= 0 && dup2(fresh, f->eventfd) == f->eventfd);
	for (i = 0; i < f->count; i++)
		fill(f->buffers[i], 'p');
	CHECK(write(f->pipe[1], "late", 4) == 4);
	usleep(20000);
	for (i = 0; i < f->count; i++)
		CHECK(holds_only(f->buffers[i], 'p'));
	CHECK(read(fresh, &count, 8) == -1 && errno == EAGAIN);
	for (i = 0; i < f->count; i++)
		free(f->buffers[i]);
	close(fresh), close(f->eventfd), close(f->pipe[0]), close(f->pipe[1]);
}

static void *wait_for_ever(void *ring)
{
	syscall(SYS_io_uring_enter, *(int *)ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	return NULL;
}

static int others_run_beside_a_ring(void)
{
	struct io_uring_params params = { 0 };
	int ring = syscall(SYS_io_uring_setup, 1, &params);
	pthread_t thread;
	if (ring < 0)
		return 1;
	CHECK(pthread_create(&thread, NULL, wait_for_ever, &ring) == 0);
	usleep(100000);
	_exit(0);
}

int main(int argc, char **argv)
{
	static struct flight f;
	char page[PAGE];
	int round, i;

	if (argc == 1)
		return others_run_beside_a_ring();
	CHECK(argc == 3);
	f.waiting = atoi(argv[2]);
	f.buffered = open(argv[1], O_RDWR | O_CREAT, 0600);
	fill(page, 'f');
	for (i = 0; i < EACH; i++)
		CHECK(pwrite(f.buffered, page, PAGE, i * PAGE) == PAGE);
	CHECK(fsync(f.buffered) == 0);
	f.direct = open(argv[1], O_RDWR | O_DIRECT);
	if (f.direct < 0)
		f.direct = open(argv[1], O_RDWR);
	for (round = 0; round < ROUNDS; round++) {
		start(&f);
		if (round % 2)
			take_some(&f);
		CHECK(io_destroy(f.ctx) == 0 && io_destroy(f.ctx) == -EINVAL);
		reuse(&f);
	}
	for (i = 0; i < EACH; i++)
		CHECK(pread(f.buffered, page, PAGE, i * PAGE) == PAGE && holds_only(page, 'w'));
	start(&f);
	return 0;   // with requests in flight
}
