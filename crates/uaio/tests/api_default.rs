//! `UAIO_ENGINE` decides where the builder does not, and never where it does.
// What the tests share calls C the way a program does.
#![allow(clippy::undocumented_unsafe_blocks)]

mod common;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use common::{has_uring, on_engines};
use uaio::{Cancel, Context, Engine, Errno, Operation, Readiness};

/// Rings of the kernel's in this process.
fn kernel_rings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().matches("/[aio]").count()
}

fn works(context: Context) {
    let file = tempfile::tempfile_in("/var/tmp").unwrap();
    let batch = context.submit_all((0..8).map(|i| Operation::write(&file, vec![i as u8; 100], i * 100)));
    assert!(batch.all().unwrap().into_iter().all(|ticket| ticket.wait().result == Ok(100)));
    let (r, mut w) = std::io::pipe().unwrap();
    let r = OwnedFd::from(r);
    let poll = || context.submit(Operation::poll(&r, Readiness::IN)).unwrap();
    let (cancelled, left) = (poll(), poll());
    assert_ne!(cancelled.cancel(), Cancel::TooLate);
    assert_eq!(cancelled.wait().result, Ok(0));
    let woken = poll().wait_timeout(Duration::from_millis(5)).unwrap_err();
    w.write_all(b"x").unwrap();
    assert!(woken.wait().readiness().unwrap().contains(Readiness::IN));
    assert!(left.wait().result.is_ok());
    let (empty, _w) = std::io::pipe().unwrap();
    let empty = OwnedFd::from(empty);
    let last = context.submit(Operation::poll(&empty, Readiness::IN)).unwrap();
    assert_eq!(context.close().wait().len(), 1);
    assert_eq!(last.wait().result, Ok(0));
}

/// The named engine does not wait inside submit for a pipe that is empty; inline would, for ever.
fn does_not_wait(engine: Engine) {
    let context = match Context::builder().engine(engine).build() {
        Ok(context) => context,
        Err(why) => return assert!(why == Errno::ENOSYS && engine == Engine::Uring && !has_uring()),
    };
    let (r, mut w) = std::io::pipe().unwrap();
    let read = context.submit(Operation::read(OwnedFd::from(r), vec![0u8; 4], 0)).unwrap();
    w.write_all(b"here").unwrap();
    assert_eq!(read.wait().result, Ok(4));
    works(context);
}

/// Nothing before it has started the threads that its context needs.
#[test]
fn a_poll_may_be_the_first_request() {
    on_engines(&["auto", "threads", "inline"], "a_poll_may_be_the_first_request", || {
        for engine in [Engine::Threads, Engine::Uring] {
            let Ok(context) = Context::builder().engine(engine).build() else { continue };
            let (r, mut w) = std::io::pipe().unwrap();
            let poll = context.submit(Operation::poll(OwnedFd::from(r), Readiness::IN)).unwrap();
            w.write_all(b"x").unwrap();
            assert!(poll.wait().readiness().unwrap().contains(Readiness::IN), "{engine:?}");
        }
    });
}

#[test]
fn the_environment_decides_for_the_default_only() {
    let engines = ["auto", "inline", "uring", "threads", "off"];
    on_engines(&engines, "the_environment_decides_for_the_default_only", || {
        let off = common::engine() == "off";
        // SAFETY: null: nothing is made.
        if off && unsafe { libc::syscall(libc::SYS_io_setup, 1, 0) } == -1 {
            let why = std::io::Error::last_os_error().raw_os_error();
            if why != Some(libc::EFAULT) {
                return eprintln!("off is not applicable: this place has no kernel AIO");
            }
        }
        let context = Context::new(16).unwrap();
        assert_eq!(kernel_rings(), usize::from(off));
        works(context);
        [Engine::Uring, Engine::Threads].into_iter().for_each(does_not_wait);
        let inline = Context::builder().engine(Engine::Inline).build().unwrap();
        assert_eq!(kernel_rings(), 0);
        works(inline);
    });
}
