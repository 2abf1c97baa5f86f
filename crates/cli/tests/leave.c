// leave PATH KIND WAY: 64 writes accepted, then out at once, on whatever way. Exit status 2: KIND cannot be had here.
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

enum { COUNT = 64, SIZE = 4096 };

#ifdef BY_SYSCALL
static int setup(io_context_t *ctx) { return syscall(SYS_io_setup, COUNT, ctx) ? -errno : 0; }
static long submit(io_context_t ctx, struct iocb **list) { return syscall(SYS_io_submit, ctx, (long)COUNT, list); }
#else
static int setup(io_context_t *ctx) { return io_setup(COUNT, ctx); }
static long submit(io_context_t ctx, struct iocb **list) { return io_submit(ctx, COUNT, list); }
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

int main(int argc, char **argv)
{
	static struct iocb iocbs[COUNT], *list[COUNT];
	io_context_t ctx = NULL;
	char *pages;
	int i, fd, ret;

	if (argc < 4)
		return 1;
	fd = target(argv[1], argv[2]);
	if (fd < 0 || posix_memalign((void **)&pages, SIZE, COUNT * SIZE))
		return 2;
	memset(pages, 'n', COUNT * SIZE);
	ret = setup(&ctx);
	if (ret)
		return ret == -ENOSYS ? 2 : 1;
	for (i = 0; i < COUNT; i++) {
		io_prep_pwrite(&iocbs[i], fd, pages + i * SIZE, SIZE, i * SIZE);
		list[i] = &iocbs[i];
	}
	return submit(ctx, list) == COUNT ? leave(argv[3]) : 1;
}
