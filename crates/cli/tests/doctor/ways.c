// A program that makes a context by one way (INLINE, SYSCALL, LIBAIO, or none), and with an argument keeps it.
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned long context;

#ifdef LIBAIO
int io_setup(int nr, unsigned long *context);
#endif

#ifdef INLINE
static long by_instruction(void)
{
    long result;
#ifdef __x86_64__
    __asm__ volatile("mov %1, %%eax\n.globl the_instruction\nthe_instruction:\nsyscall"
                     : "=a"(result) : "i"(SYS_io_setup), "D"(100), "S"(&context) : "rcx", "r11", "memory");
#else
    register long x0 __asm__("x0") = 100;
    register long x1 __asm__("x1") = (long)&context;
    __asm__ volatile("mov x8, %1\n.globl the_instruction\nthe_instruction:\nsvc #0"
                     : "+r"(x0) : "i"(SYS_io_setup), "r"(x1) : "x8", "memory");
    result = x0;
#endif
    return result;
}
#endif

int main(int argc, char **argv)
{
    (void)argv;
    long result = 0;
#ifdef INLINE
    result = by_instruction();
#endif
#ifdef SYSCALL
    result = syscall(SYS_io_setup, 100, &context);
#endif
#ifdef LIBAIO
    result = io_setup(100, &context);
#endif
    printf("%ld\n", result);
    fflush(stdout);
    if (argc > 1)
        pause();
    return result < 0;
}
