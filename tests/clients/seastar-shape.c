// A client in the shape of a shard of Seastar: it reads the two files in /proc before anything else, uses the raw calls, keeps
// 10,000 POLLs in flight, reaps the ring by hand, sleeps in io_pgetevents with a signal mask, and reads with RWF_NOWAIT.
// Every event is checked to come exactly once. Exit 0: all as it should be.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { POLLS = 10000, FILES = 250, READS = 256, BLOCK = 4096 };
enum { RWF_NOWAIT_BIT = 8 };

struct ring { unsigned id, nr, head, tail, magic, compat, incompat, header_length; struct io_event events[]; };
struct sigset { const sigset_t *mask; size_t size; };

static aio_context_t ctx;
static struct iocb polls[POLLS], reads[READS];
static int fds[FILES], seen[POLLS], reaped;
static volatile sig_atomic_t signals;

static void fail(const char *what) { fprintf(stderr, "seastar-shape: %s: %s\n", what, strerror(errno)); exit(1); }
static void on_signal(int sig) { (void)sig; signals++; }

static long number(const char *path)
{
    FILE *f = fopen(path, "r");
    long n = -1;
    if (!f || fscanf(f, "%ld", &n) != 1) fail(path);
    fclose(f);
    // once more by descriptor, as its other reader does
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0 || atol(text) != n) fail(path);
    close(fd);
    return n;
}

static void submit(struct iocb **list, int count)
{
    while (count > 0) {
        long n = syscall(SYS_io_submit, ctx, count, list);
        if (n <= 0) fail("io_submit");
        list += n, count -= n;
    }
}

static void arm(int first, int count)
{
    static struct iocb *list[POLLS];
    for (int i = 0; i < count; i++) {
        struct iocb *io = &polls[first + i];
        memset(io, 0, sizeof *io);
        io->aio_data = first + i;
        io->aio_lio_opcode = IOCB_CMD_POLL;
        io->aio_fildes = fds[(first + i) % FILES];
        io->aio_buf = POLLIN;
        list[i] = io;
    }
    submit(list, count);
}

static void count_event(const struct io_event *e)
{
    if (e->data >= POLLS || e->obj != (uintptr_t)&polls[e->data]) { errno = 0; fail("an event of nobody"); }
    if (seen[e->data]++) { errno = 0; fail("an event came twice"); }
    reaped++;
}

// by hand: what lies between head and tail
static int reap_ring(void)
{
    struct ring *r = (struct ring *)ctx;
    if (r->magic != 0xa10a10a1 || r->incompat) { errno = 0; fail("no ring at the context's address"); }
    unsigned head = r->head, tail = atomic_load_explicit((_Atomic unsigned *)&r->tail, memory_order_acquire);
    int n = 0;
    while (head != tail) {
        count_event(&r->events[head]);
        head = (head + 1) % r->nr, n++;
    }
    atomic_store_explicit((_Atomic unsigned *)&r->head, head, memory_order_release);
    return n;
}

static int sleep_for_events(void)
{
    static struct io_event ev[128];
    sigset_t none;
    sigemptyset(&none);
    struct sigset set = { &none, 8 };
    struct timespec limit = { 20, 0 };
    long n = syscall(SYS_io_pgetevents, ctx, 1L, 128L, ev, &limit, &set);
    if (n < 0 && errno == EINTR) return 0;
    if (n < 0) fail("io_pgetevents");
    if (n == 0) { errno = ETIMEDOUT; fail("io_pgetevents"); }
    for (int i = 0; i < n; i++) count_event(&ev[i]);
    return n;
}

static void fire(int file) { uint64_t one = 1; if (write(fds[file], &one, 8) != 8) fail("eventfd write"); }
static void quiet(int file) { uint64_t n; if (read(fds[file], &n, 8) != 8) fail("eventfd read"); }

static void read_with_nowait(const char *path)
{
    static char data[READS][BLOCK] __attribute__((aligned(4096)));
    static struct iocb *list[READS];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) fail(path);
    for (int i = 0; i < READS; i++) {
        memset(data[i], i, BLOCK);
        if (pwrite(fd, data[i], BLOCK, (off_t)i * BLOCK) != BLOCK) fail("pwrite");
        memset(data[i], 0xff, BLOCK);
    }
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (int i = 0; i < READS; i++) {
        memset(&reads[i], 0, sizeof reads[i]);
        reads[i].aio_lio_opcode = IOCB_CMD_PREAD, reads[i].aio_fildes = fd, reads[i].aio_data = i;
        reads[i].aio_buf = (uintptr_t)data[i], reads[i].aio_nbytes = BLOCK, reads[i].aio_offset = (long long)i * BLOCK;
        reads[i].aio_rw_flags = RWF_NOWAIT_BIT;
        list[i] = &reads[i];
    }
    int refused = 0, left = READS;
    long accepted = syscall(SYS_io_submit, ctx, READS, list);
    if (accepted < 0 && errno == EOPNOTSUPP) {   // a file system without it: as Seastar, do without
        for (int i = 0; i < READS; i++) reads[i].aio_rw_flags = 0;
        submit(list, READS);
    } else if (accepted != READS) fail("io_submit NOWAIT");
    while (left > 0) {
        struct io_event ev[64];
        long n = syscall(SYS_io_getevents, ctx, 1L, 64L, ev, NULL);
        if (n < 0) fail("io_getevents");
        for (int i = 0; i < n; i++) {
            struct iocb *io = (struct iocb *)(uintptr_t)ev[i].obj;
            if (ev[i].res == -EAGAIN || (ev[i].res >= 0 && ev[i].res < BLOCK)) {   // would have waited: once more, without the flag
                refused++, io->aio_rw_flags = 0;
                submit(&io, 1);
            } else if (ev[i].res == BLOCK) left--;
            else { errno = -ev[i].res; fail("read"); }
        }
    }
    for (int i = 0; i < READS; i++)
        for (int k = 0; k < BLOCK; k++)
            if ((unsigned char)data[i][k] != (unsigned char)i) { errno = EIO; fail("wrong data"); }
    close(fd);
    unlink(path);
    printf("reads=%d would_have_waited=%d ", READS, refused);
}

int main(int argc, char **argv)
{
    long max = number("/proc/sys/fs/aio-max-nr"), used = number("/proc/sys/fs/aio-nr");
    if (max - used < POLLS + READS) {
        fprintf(stderr, "seastar-shape: room for %ld requests (fs.aio-max-nr %ld, fs.aio-nr %ld), %d needed\n", max - used, max, used, POLLS + READS);
        return 3;
    }
    if (syscall(SYS_io_setup, POLLS + READS, &ctx)) fail("io_setup");
    if (number("/proc/sys/fs/aio-nr") < used + POLLS + READS) { errno = 0; fail("fs.aio-nr has not grown"); }
    for (int i = 0; i < FILES; i++)
        if ((fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0) fail("eventfd");
    struct sigaction sa = { .sa_handler = on_signal };
    sigaction(SIGUSR1, &sa, NULL);
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);

    read_with_nowait(argc > 1 ? argv[1] : "seastar-shape.dat");

    arm(0, POLLS);
    for (int i = 0; i < FILES; i++) fire(i);
    while (reaped < POLLS)
        if (!reap_ring()) sleep_for_events();
    for (int i = 0; i < FILES; i++) quiet(i);

    // a signal that only the mask of io_pgetevents lets through
    memset(seen, 0, sizeof seen), reaped = 0;
    arm(0, POLLS);
    raise(SIGUSR1);
    struct io_event ev;
    sigset_t none;
    sigemptyset(&none);
    struct sigset set = { &none, 8 };
    if (syscall(SYS_io_pgetevents, ctx, 1L, 1L, &ev, NULL, &set) != -1 || errno != EINTR || signals != 1) fail("io_pgetevents and a signal");

    // a quarter cancelled, a quarter fired, the rest left to io_destroy
    for (int i = 0; i < POLLS / 4; i++)
        if (syscall(SYS_io_cancel, ctx, &polls[i], &ev) != -1 || errno != EINPROGRESS) fail("io_cancel");
    while (reaped < POLLS / 4)
        if (!reap_ring()) sleep_for_events();
    for (int i = 0; i < POLLS / 4; i++)
        if (!seen[i]) { errno = 0; fail("a cancelled POLL has no event"); }
    for (int i = 0; i < FILES / 2; i++) fire(i);
    int fired = 0;
    for (int i = POLLS / 4; i < POLLS; i++) fired += i % FILES < FILES / 2;
    while (reaped < POLLS / 4 + fired)
        if (!reap_ring()) sleep_for_events();
    if (syscall(SYS_io_destroy, ctx)) fail("io_destroy");
    if (syscall(SYS_io_destroy, ctx) != -1 || errno != EINVAL) fail("second io_destroy");
    if (number("/proc/sys/fs/aio-nr") > used) { errno = 0; fail("fs.aio-nr is still up"); }
    printf("polls=%d\n", 2 * POLLS);
    return 0;
}
