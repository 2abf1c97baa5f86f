//! Where something is missing: memory, or an engine.

use super::Case;
use crate::case;
use crate::tools::*;
use uaio::abi::{IOCB_CMD_PREADV, Iovec};

pub fn cases() -> Vec<Case> {
    vec![
        case!(Contract, "io_setup/no_room_for_a_mapping_is_enomem", "spec 1.5, io_setup(2) ENOMEM", |t| {
            // What is made with the first context is there.
            let first = t.setup(1);
            no_more_memory();
            let mut ctx = 0;
            assert_eq!((t.try_setup(65000, &mut ctx), ctx), (ENOMEM, 0));
            assert_eq!(t.destroy(first), 0);
        }),
        case!(Linux, "io_setup/a_forced_engine_that_is_missing_is_enosys", "io_setup(2) ENOSYS", |t| {
            if !t.is_ours() || t.is_kernels() {
                t.not_applicable("ENOSYS is what a kernel without AIO says; this one has it");
            }
            refuse_io_uring();
            // The process has one thread, and has not set up a context: the setting is read then.
            unsafe { std::env::set_var("UAIO_ENGINE", "uring") };
            let mut ctx = 0;
            assert_eq!((t.try_setup(1, &mut ctx), ctx), (ENOSYS, 0));
        }),
        case!(Quirk, "io_submit/no_memory_for_many_iovecs_is_enomem", "io_submit(2) ENOMEM", |t| {
            let ctx = t.setup(4);
            let fd = open("/dev/zero", libc::O_RDONLY);
            let place = pages(1, 1);
            let pieces = vec![Iovec { base: place, len: 1 }; 1024];
            let mut iocbs = [io(IOCB_CMD_PREADV, fd, pieces.as_ptr() as usize, 1024, 0)];
            no_more_memory();
            assert_eq!(t.submit(ctx, &mut iocbs), t.decided("A20", 1, ENOMEM));
        }),
    ]
}

/// From here on nothing can be mapped.
fn no_more_memory() {
    let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

/// io_uring_setup says EPERM from here on, as in most containers.
fn refuse_io_uring() {
    let statement = |code: u32, jt: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf: 0, k };
    let load = statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0);
    let same = statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_io_uring_setup as u32);
    let allow = statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW);
    let refuse = statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
    let mut filter = [load, same, allow, refuse];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}
