// leave PATH KIND WAY WHAT: 64 writes, then out at once, on whatever way. Exit status 2: KIND or the engine cannot be had here.
// WHAT: accepted, out right after io_submit; reaped, with all events taken; refused, only the first half was accepted.
// With -DBY_SYSCALL through syscall(), else through libaio.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { COUNT = 64, HALF = COUNT / 2, SIZE = 4096 };

#ifdef BY_SYSCALL
static int setup(io_context_t *ctx) { return syscall(SYS_io_setup, COUNT, ctx) ? -errno : 0; }
static long submit(io_context_t ctx, long count, struct iocb **list) { return syscall(SYS_io_submit, ctx, count, list); }
static long reap(io_context_t ctx, struct io_event *events) { return syscall(SYS_io_getevents, ctx, (long)COUNT, (long)COUNT, events, NULL); }
#else
static int setup(io_context_t *ctx) { return io_setup(COUNT, ctx); }
static long submit(io_context_t ctx, long count, struct iocb **list) { return io_submit(ctx, count, list); }
static long reap(io_context_t ctx, struct io_event *events) { return io_getevents(ctx, COUNT, COUNT, events, NULL); }
#endif

static int target(const char *path, const char *kind)
{
	int direct = strcmp(kind, "buffered") ? O_DIRECT : 0;
	int fd = open(path, O_RDWR | O_CREAT | direct, 0600);
	if (fd >= 0 && !strcmp(kind, "extending") && ftruncate(fd, 0))
		return -1;
	if (fd >= 0 && !strcmp(kind, "fallocated") && (ftruncate(fd, 0) || fallocate(fd, 0, 0, COUNT * SIZE)))
		return -1;
	return fd;
}

static int leave(const char *way)
{
	if (!strcmp(way, "exit")) exit(0);
	if (!strcmp(way, "_exit")) _exit(0);
	if (!strcmp(way, "quick_exit")) quick_exit(0);
	if (!strcmp(way, "exec")) execl("/bin/true", "true", (char *)NULL);
	if (!strcmp(way, "SIGTERM")) raise(SIGTERM);
	if (!strcmp(way, "SIGKILL")) raise(SIGKILL);
	return 1;
}

static struct iocb iocbs[COUNT], *list[COUNT];

static int all_reaped(io_context_t ctx)
{
	static struct io_event events[COUNT];
	int i;

	if (reap(ctx, events) != COUNT)
		return 0;
	for (i = 0; i < COUNT && (long)events[i].res == SIZE; i++)
		;
	return i == COUNT;
}

// Makes the iocb one that io_submit refuses, each time for another reason.
static void spoil(struct iocb *iocb, int reason)
{
	switch (reason % 4) {
	case 0: iocb->u.c.__pad3 = 1; break;
	case 1: iocb->aio_fildes = -1; break;
	case 2: iocb->aio_lio_opcode = 99; break;
	default: iocb->u.c.offset = -1; break;
	}
}

// Each write is refused by itself. Then the second half: its first is refused, so nobody looks at the rest.
static int half_refused(io_context_t ctx)
{
	int i;

	for (i = 0; i < COUNT; i++) {
		struct iocb bad = iocbs[i], *one = &bad;
		spoil(&bad, i);
		if (submit(ctx, 1, &one) >= 0)
			return 0;
	}
	spoil(&iocbs[HALF], getpid());
	return submit(ctx, COUNT, list) == HALF;
}

static int done(io_context_t ctx, const char *what)
{
	if (!strcmp(what, "refused"))
		return half_refused(ctx);
	if (submit(ctx, COUNT, list) != COUNT)
		return 0;
	return strcmp(what, "reaped") || all_reaped(ctx);
}

int main(int argc, char **argv)
{
	io_context_t ctx = NULL;
	char *pages;
	int i, fd, ret;

	if (argc < 5)
		return 1;
	fd = target(argv[1], argv[2]);
	if (fd < 0 || posix_memalign((void **)&pages, SIZE, COUNT * SIZE))
		return 2;
	memset(pages, 'n', COUNT * SIZE);
	ret = setup(&ctx);
	if (ret)
		return ret == -ENOSYS || ret == -EAGAIN ? 2 : 1;
	for (i = 0; i < COUNT; i++) {
		io_prep_pwrite(&iocbs[i], fd, pages + i * SIZE, SIZE, i * SIZE);
		list[i] = &iocbs[i];
	}
	return done(ctx, argv[4]) ? leave(argv[3]) : 1;
}
