// Run by front_ends.rs over the preload library or libaio.so.1: each check by its name; exit 0 when it holds.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(what) do { if (!(what)) { fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #what, errno); return 1; } } while (0)
static char *volatile bad = (char *)8;

static long first_number(int fd) { char t[32] = ""; long n = read(fd, t, 31) > 0 ? atol(t) : -1; close(fd); return n; }
static long by_stream(FILE *f) { long n = -1; if (f) { if (fscanf(f, "%ld", &n) != 1) n = -1; fclose(f); } return n; }

static int others_pass_through(void)
{
    errno = 0;
    CHECK(syscall(SYS_getpid) == getpid() && errno == 0);
    CHECK(syscall(SYS_close, 12345) == -1 && errno == EBADF);
    int fds[2];
    CHECK(syscall(SYS_pipe2, fds, O_CLOEXEC) == 0);
    CHECK(syscall(SYS_write, fds[1], "abc", 3) == 3);
    char page[8192];
    CHECK(syscall(SYS_read, fds[0], page, 8) == 3 && !memcmp(page, "abc", 3));
    void *p = (void *)syscall(SYS_mmap, 0L, 4096L, 3L, 0x22L, -1L, 0L);   // six arguments
    CHECK(p != (void *)-1 && syscall(SYS_munmap, p, 4096L) == 0);
    CHECK(syscall(100000) == -1 && errno == ENOSYS);
    return 0;
}

static int the_two_files(void)
{
    const char *max = "/proc/sys/fs/aio-max-nr", *nr = "/proc/sys/fs/aio-nr";
    errno = 0;
    CHECK(first_number(open(max, O_RDONLY)) == 4321 && errno == 0);
    CHECK(first_number(open64(max, O_RDONLY | O_CLOEXEC)) == 4321);
    CHECK(first_number(openat(AT_FDCWD, max, O_RDONLY)) == 4321);
    CHECK(first_number(openat64(AT_FDCWD, max, O_RDONLY)) == 4321);
    CHECK(by_stream(fopen(max, "r")) == 4321 && by_stream(fopen64(max, "re")) == 4321);
    int (*open_2)(const char *, int) = (int (*)(const char *, int))dlsym(RTLD_DEFAULT, "__open_2");
    CHECK(open_2 && first_number(open_2(max, O_RDONLY)) == 4321);
    CHECK(first_number(open(nr, O_RDONLY)) == 0);
    aio_context_t ctx = 0;
    CHECK(syscall(SYS_io_setup, 77, &ctx) == 0);
    CHECK(first_number(open(nr, O_RDONLY)) == 77);
    aio_context_t more = 0;
    CHECK(syscall(SYS_io_setup, 4300, &more) == -1 && errno == EAGAIN);
    CHECK(syscall(SYS_io_destroy, ctx) == 0 && first_number(open(nr, O_RDONLY)) == 0);
    int fd = open(max, O_RDONLY | O_CLOEXEC);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    int lowest = dup(0);
    close(lowest), close(fd);
    CHECK(open(max, O_RDONLY) == (fd < lowest ? fd : lowest));
    CHECK(open(bad, O_RDONLY) == -1 && errno == EFAULT);
    CHECK(openat(AT_FDCWD, bad, O_RDONLY) == -1 && errno == EFAULT);
    CHECK(open("/nowhere/at/all", O_RDONLY) == -1 && errno == ENOENT);
    char path[] = "/tmp/uaio-front-XXXXXX";
    int made = mkstemp(path);
    close(made), unlink(path);
    CHECK((made = open(path, O_RDWR | O_CREAT | O_EXCL, 0640)) >= 0);
    struct stat st;
    CHECK(fstat(made, &st) == 0 && (st.st_mode & 0777) == (0640 & ~umask(022)) && unlink(path) == 0);
    return 0;
}

typedef int (*setup_fn)(int, aio_context_t *);
typedef int (*events_fn)(aio_context_t, long, long, struct io_event *, struct timespec *);

static int contexts_cross(void)
{
    setup_fn lib_setup = (setup_fn)dlsym(RTLD_DEFAULT, "io_setup");
    events_fn lib_events = (events_fn)dlsym(RTLD_DEFAULT, "io_getevents");
    int (*lib_destroy)(aio_context_t) = (int (*)(aio_context_t))dlsym(RTLD_DEFAULT, "io_destroy");
    CHECK(lib_setup && lib_events && lib_destroy);
    aio_context_t ctx = 0;
    errno = 99;
    CHECK(lib_setup(8, &ctx) == 0 && lib_setup(8, &ctx) == -EINVAL && errno == 99);
    int null = open("/dev/null", O_RDONLY);
    struct iocb io = { .aio_fildes = null, .aio_data = 5 }, *list = &io;
    CHECK(syscall(SYS_io_submit, ctx, 1L, &list) == 1);
    struct io_event event;
    struct timespec now = { 0, 0 };
    CHECK(lib_events(ctx, 1, 1, &event, &now) == 1 && event.data == 5);
    CHECK(lib_events(ctx, -1, 1, &event, &now) == 0);   // libaio's short cut looks at nothing else
    CHECK(syscall(SYS_io_destroy, ctx) == 0);
    CHECK(lib_destroy(ctx) == -EINVAL && syscall(SYS_io_destroy, ctx) == -1 && errno == EINVAL);
    // a copy of libaio.so.1 under another name meets the same contexts
    void *other = dlopen(getenv("OTHER_LIBAIO"), RTLD_NOW | RTLD_LOCAL);
    CHECK(other);
    setup_fn other_setup = (setup_fn)dlsym(other, "io_setup");
    CHECK(other_setup && other_setup != lib_setup && other_setup(4, &(aio_context_t){ 0 }) == 0);
    ctx = 0;
    CHECK(other_setup(4, &ctx) == 0 && syscall(SYS_io_destroy, ctx) == 0);
    return 0;
}

static int child_says(const char *want, int how)
{
    int out[2];
    if (pipe(out)) return 0;
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = { "sh", "-c", "echo $0 $1 $X; case $LD_PRELOAD in *uaio*) echo preloaded;; esac", "a", "b", NULL }, *env[] = { "X=x", "PATH=/usr/bin:/bin", NULL };
        dup2(out[1], 1);
        setenv("X", "x", 1);
        if (how == 0) execl("/bin/sh", argv[0], argv[1], argv[2], argv[3], argv[4], (char *)NULL);
        if (how == 1) execlp("sh", argv[0], argv[1], argv[2], argv[3], argv[4], (char *)NULL);
        if (how == 2) execle("/bin/sh", argv[0], argv[1], argv[2], argv[3], argv[4], (char *)NULL, environ);
        if (how == 3) execv("/bin/sh", argv);
        if (how == 4) execvp("sh", argv);
        if (how == 5) execve("/bin/sh", argv, env);
        if (how == 6) execvpe("sh", argv, env);
        if (how == 7) fexecve(open("/bin/sh", O_RDONLY), argv, env);
        if (how == 8) { int st; if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, env) || waitpid(pid, &st, 0) < 0) _exit(1); _Exit(0); }
        _exit(1);
    }
    close(out[1]);
    char got[64] = "";
    size_t n = 0;
    ssize_t k;
    while ((k = read(out[0], got + n, 63 - n)) > 0) n += k;
    close(out[0]);
    int status;
    waitpid(pid, &status, 0);
    if (status || strcmp(got, want)) fprintf(stderr, "%d: status %d: %s", how, status, got);
    return !status && !strcmp(got, want);
}

static int ways_out(void)
{
    for (int how = 0; how <= 8; how++) CHECK(child_says("a b x\npreloaded\n", how));
    CHECK(execve("/bin/true", (char *[]){ "true", NULL }, (char **)bad) == -1 && errno == EFAULT);
    for (int how = 0; how < 3; how++) {
        pid_t pid = fork();
        if (pid == 0) { if (how == 0) _exit(41); if (how == 1) _Exit(41); quick_exit(41); }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 41);
    }
    return 0;
}

static aio_context_t waited_for;

static void *wait_for_ever(void *mask)
{
    struct io_event event;
    int old;
    pthread_setcanceltype(mask ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED, &old);
    sigset_t none;
    sigemptyset(&none);
    struct { void *mask; size_t size; } set = { &none, 8 };
    if (mask == (void *)2) syscall(SYS_io_pgetevents, waited_for, 1L, 1L, &event, NULL, &set);
    else syscall(SYS_io_getevents, waited_for, 1L, 1L, &event, NULL);
    pthread_testcancel();
    return NULL;
}

// deferred (0) it ends once the event has come, asynchronous (1, and 2 with io_pgetevents) at once; the context works on, be it fresh or one
// that had requests before, which is when it may have become the kernel's
static int cancelled_threads(void)
{
    for (uintptr_t round = 0; round < 6; round++) {
        uintptr_t how = round % 3;
        int fds[2];
        pthread_t thread;
        void *result = NULL;
        waited_for = 0;
        CHECK(pipe(fds) == 0 && syscall(SYS_io_setup, 8, &waited_for) == 0);
        struct iocb io = { .aio_fildes = fds[0], .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = 1, .aio_data = 5 }, *list = &io;
        struct io_event event;
        char byte;
        if (round >= 3) {
            CHECK(write(fds[1], "x", 1) == 1 && syscall(SYS_io_submit, waited_for, 1L, &list) == 1);
            CHECK(syscall(SYS_io_getevents, waited_for, 1L, 1L, &event, NULL) == 1 && read(fds[0], &byte, 1) == 1);
        }
        CHECK(pthread_create(&thread, NULL, wait_for_ever, (void *)how) == 0);
        usleep(50000);
        CHECK(pthread_cancel(thread) == 0);
        if (how) CHECK(pthread_join(thread, &result) == 0);
        CHECK(syscall(SYS_io_submit, waited_for, 1L, &list) == 1);
        CHECK(write(fds[1], "x", 1) == 1);
        if (!how) CHECK(pthread_join(thread, &result) == 0);
        CHECK(result == PTHREAD_CANCELED);
        if (how) CHECK(syscall(SYS_io_getevents, waited_for, 1L, 1L, &event, NULL) == 1 && event.data == 5);
        CHECK(syscall(SYS_io_destroy, waited_for) == 0);
        close(fds[0]), close(fds[1]);
    }
    return 0;
}

// a library that is unloaded with requests in flight goes on, and is the same when it is loaded again
static int unloaded(void)
{
    void *lib = dlopen(getenv("OTHER_LIBAIO"), RTLD_NOW | RTLD_LOCAL);
    CHECK(lib);
    setup_fn lib_setup = (setup_fn)dlsym(lib, "io_setup");
    int (*lib_submit)(aio_context_t, long, struct iocb **) = (int (*)(aio_context_t, long, struct iocb **))dlsym(lib, "io_submit");
    aio_context_t ctx = 0;
    int fds[2];
    CHECK(lib_setup && lib_submit && pipe(fds) == 0 && lib_setup(8, &ctx) == 0);
    struct iocb io = { .aio_fildes = fds[0], .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = 1, .aio_data = 5 }, *list = &io;
    CHECK(lib_submit(ctx, 1, &list) == 1 && dlclose(lib) == 0);
    CHECK(write(fds[1], "x", 1) == 1);
    lib = dlopen(getenv("OTHER_LIBAIO"), RTLD_NOW | RTLD_LOCAL);
    events_fn lib_events = (events_fn)dlsym(lib, "io_getevents");
    struct io_event event;
    CHECK(lib_events && lib_events(ctx, 1, 1, &event, NULL) == 1 && event.data == 5);
    int (*lib_destroy)(aio_context_t) = (int (*)(aio_context_t))dlsym(lib, "io_destroy");
    CHECK(lib_destroy && lib_destroy(ctx) == 0 && dlclose(lib) == 0);
    return 0;
}

// by libaio's functions where a library is loaded for them, else by syscall()
static void *libaio;

static long aio_call(const char *name, long number, long a, void *b, long c, void *d, void *e)
{
    long (*by_name)(long, void *, long, void *, void *) = (long (*)(long, void *, long, void *, void *))(libaio ? dlsym(libaio, name) : NULL);
    if (by_name) return (int)by_name(a, b, c, d, e);
    long ret = syscall(number, a, b, c, d, e);
    return ret < 0 ? -errno : ret;
}
static long aio_setup(int nr, aio_context_t *ctx) { return aio_call("io_setup", SYS_io_setup, nr, ctx, 0, NULL, NULL); }
static long aio_submit(aio_context_t ctx, long nr, struct iocb **list) { return aio_call("io_submit", SYS_io_submit, ctx, (void *)nr, (long)list, NULL, NULL); }
static long aio_wait(aio_context_t ctx, long nr, struct io_event *events) { return aio_call("io_getevents", SYS_io_getevents, ctx, (void *)nr, nr, events, NULL); }
static long aio_destroy(aio_context_t ctx) { return aio_call("io_destroy", SYS_io_destroy, ctx, NULL, 0, NULL, NULL); }

// sh -c SCRIPT between the pipes `in` and `out`; of this process's other descriptors it keeps none, and it has something else under the number `target`
static pid_t spawn_beside(const char *script, int in[2], int out[2], int target)
{
    posix_spawn_file_actions_t actions;
    char *argv[] = { "sh", "-c", (char *)script, NULL };
    pid_t pid = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, out[0], target);
    posix_spawn_file_actions_addclose(&actions, target);
#if __GLIBC_PREREQ(2, 34)
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
#endif
    int ret = posix_spawn(&pid, script ? "/bin/sh" : "/nowhere/at/all", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return ret ? -ret : pid;
}

static int read_and_poll(aio_context_t ctx, int fds[2], int polled[2], char *buffer, int eventfd, int waiting)
{
    struct iocb read = { .aio_fildes = fds[0], .aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (uintptr_t)buffer, .aio_nbytes = 8, .aio_data = 5 };
    struct iocb poll = { .aio_fildes = polled[0], .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN, .aio_data = 6 };
    read.aio_flags = poll.aio_flags = IOCB_FLAG_RESFD;
    read.aio_resfd = poll.aio_resfd = eventfd;
    struct iocb *list[] = { &poll, &read };
    return aio_submit(ctx, 1 + waiting, list) == 1 + waiting;
}

// requests in flight go on beside children that are spawned, fail to be, run and end; so does io_destroy while such a child runs
static int spawned(void)
{
    const char *engine = getenv("UAIO_ENGINE");
    int waiting = strcmp(engine, "inline") && strcmp(engine, "kernel");   // there io_submit waits for the read of an empty pipe
    int direct = open(getenv("DATA"), O_RDWR | O_DIRECT), fds[2], polled[2], in[2], out[2], eventfd_ = eventfd(0, EFD_NONBLOCK);
    char buffer[8] = "", said[16] = "", *page;
    if (!getenv("LD_PRELOAD")) CHECK((libaio = dlopen(getenv("OTHER_LIBAIO"), RTLD_NOW | RTLD_LOCAL)));
    if (direct < 0) direct = open(getenv("DATA"), O_RDWR);
    CHECK(direct >= 0 && posix_memalign((void **)&page, 4096, 4096) == 0);
    for (int round = 0; round < 10; round++) {
        aio_context_t ctx = 0;
        struct io_event events[2];
        uint64_t count = 0, told;
        int status;
        memset(page, 'a' + round, 4096);
        struct iocb write_ = { .aio_fildes = direct, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (uintptr_t)page, .aio_nbytes = 4096, .aio_data = 7 }, *list = &write_;
        CHECK(pipe2(fds, O_CLOEXEC) == 0 && pipe(polled) == 0 && pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
        CHECK(aio_setup(8, &ctx) == 0 && read_and_poll(ctx, fds, polled, buffer, eventfd_, waiting));
        pid_t pid = spawn_beside("read word; echo got $word", in, out, fds[0]);
        CHECK(pid > 0 && spawn_beside(NULL, in, out, polled[0]) == -ENOENT);
        // what was in flight comes, though the child runs and has closed all that the requests are about
        CHECK(write(polled[1], "x", 1) == 1 && write(fds[1], "later", 5) == 5);
        CHECK(aio_wait(ctx, 1 + waiting, events) == 1 + waiting);
        for (int i = 0; i <= waiting; i++) CHECK(events[i].data == 5 ? events[i].res == 5 && !memcmp(buffer, "later", 5) : events[i].data == 6 && (events[i].res & POLLIN));
        // the count comes a moment after the event
        for (told = 0; told < 1u + waiting; told += count) while (read(eventfd_, &count, 8) != 8) usleep(50);
        CHECK(told == 1u + waiting);
        // new ones can be made, and io_destroy ends and performs them, before the child ends or after
        CHECK(read(polled[0], said, 1) == 1 && read_and_poll(ctx, fds, polled, buffer, eventfd_, waiting) && aio_submit(ctx, 1, &list) == 1);
        if (round % 2) CHECK(aio_destroy(ctx) == 0 && aio_destroy(ctx) == -EINVAL);
        CHECK(write(in[1], "it\n", 3) == 3 && read(out[0], said, 15) == 7 && !memcmp(said, "got it\n", 7));
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        if (round % 2 == 0) CHECK(aio_destroy(ctx) == 0);
        CHECK(pread(direct, page, 4096, 0) == 4096 && page[0] == 'a' + round && page[4095] == 'a' + round);
        while (read(eventfd_, &count, 8) == 8) {}
        for (int i = 0; i < 2; i++) close(fds[i]), close(polled[i]), close(in[i]), close(out[i]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!strcmp(name, "others_pass_through")) return others_pass_through();
    if (!strcmp(name, "the_two_files")) return the_two_files();
    if (!strcmp(name, "contexts_cross")) return contexts_cross();
    if (!strcmp(name, "ways_out")) return ways_out();
    if (!strcmp(name, "cancelled_threads")) return cancelled_threads();
    if (!strcmp(name, "unloaded")) return unloaded();
    if (!strcmp(name, "spawned")) return spawned();
    return 2;
}
