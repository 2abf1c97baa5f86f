// Run by front_ends.rs over the preload library: each check by its name; exit 0 when it holds.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

// 64 O_DIRECT overwrites, then out at once: `how` says which way
static int leave_with_writes(const char *path, const char *how)
{
    int fd = open(path, O_RDWR | O_DIRECT);
    char *page;
    if (fd < 0 || posix_memalign((void **)&page, 4096, 64 * 4096)) return 2;
    memset(page, 'n', 64 * 4096);
    static struct iocb io[64], *list[64];
    aio_context_t ctx = 0;
    CHECK(syscall(SYS_io_setup, 64, &ctx) == 0);
    for (int i = 0; i < 64; i++) {
        io[i].aio_fildes = fd, io[i].aio_lio_opcode = IOCB_CMD_PWRITE;
        io[i].aio_buf = (uintptr_t)page + i * 4096, io[i].aio_nbytes = 4096, io[i].aio_offset = i * 4096;
        list[i] = &io[i];
    }
    CHECK(syscall(SYS_io_submit, ctx, 64L, list) == 64);
    if (!strcmp(how, "exit")) exit(0);
    if (!strcmp(how, "_exit")) _exit(0);
    if (!strcmp(how, "quick_exit")) quick_exit(0);
    if (!strcmp(how, "exec")) execl("/bin/true", "true", (char *)NULL);
    return 1;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (!strcmp(name, "others_pass_through")) return others_pass_through();
    if (!strcmp(name, "the_two_files")) return the_two_files();
    if (!strcmp(name, "contexts_cross")) return contexts_cross();
    if (!strcmp(name, "ways_out")) return ways_out();
    if (!strcmp(name, "leave_with_writes") && argc > 3) return leave_with_writes(argv[2], argv[3]);
    return 2;
}
