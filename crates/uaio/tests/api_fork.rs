//! In a forked child everything of the parent's is inert, at whatever moment the fork comes.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Task, Poll, Waker};

use uaio::{Cancel, Context, Engine, Errno, Operation};

/// Runs `body` in a forked child, for at most 120 seconds; true when it returns true.
fn in_child(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs only `body` and ends by _exit.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: takes no pointers.
            unsafe { libc::alarm(120) };
            let fine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(false);
            // SAFETY: as above.
            unsafe { libc::_exit(i32::from(!fine)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: `status` is a local.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            status == 0
        }
    }
}

fn all_inert(context: Context, pipe: &OwnedFd, file: &std::fs::File) -> bool {
    let refused = context.submit(Operation::read(file, vec![3u8; 4], 0)).unwrap_err();
    assert_eq!((refused.errno, refused.into_buffer()), (Errno::EINVAL, vec![3u8; 4]));
    assert_eq!((context.dispatch(), context.in_flight()), (0, 0));
    assert!(context.submit_all([Operation::read(pipe, vec![0u8; 4], 0)]).accepted.is_empty());
    assert_eq!(context.scope(|s| s.submit(Operation::fsync(file)).unwrap_err().errno), Errno::EINVAL);
    assert_eq!(context.completions::<Vec<u8>>().count(), 0);
    drop(context);
    let own = Context::new(4).unwrap();
    own.submit(Operation::write(file, vec![9u8; 4], 0)).unwrap().wait().result == Ok(4)
}

#[test]
fn a_child_touches_nothing() {
    for engine in [Engine::Uring, Engine::Threads] {
        let Ok(context) = Context::builder().engine(engine).build() else { continue };
        let (r, w) = std::io::pipe().unwrap();
        let (r, file) = (OwnedFd::from(r), tempfile::tempfile_in("/var/tmp").unwrap());
        let read = || context.submit(Operation::read(&r, vec![1u8; 4], 0)).unwrap();
        let mut tickets = Some((read(), read(), read()));
        let mut done = context.completions();
        done.push(read());
        let mut context = Some(context);
        assert!(in_child(|| {
            let (waited, mut polled, dropped) = tickets.take().unwrap();
            assert_eq!(waited.cancel(), Cancel::TooLate);
            let inert = waited.wait();
            assert_eq!((inert.result, inert.buffer), (Err(Errno::EINVAL), vec![1u8; 4]));
            let polled = Pin::new(&mut polled).poll(&mut Task::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Ready(one) if one.result == Err(Errno::EINVAL)));
            drop(dropped);
            assert!(done.next().is_none() && done.is_empty());
            all_inert(context.take().unwrap(), &r, &file)
        }));
        // The parent goes on.
        assert_eq!(context.as_ref().unwrap().in_flight(), 4);
        drop(w);
        let (a, b, c) = tickets.take().unwrap();
        assert!([a, b, c].map(uaio::Ticket::wait).iter().all(|one| one.result == Ok(0)));
        assert_eq!(done.next().unwrap().result, Ok(0));
        drop(context.take());
    }
}

#[test]
fn a_fork_in_the_middle_of_everything() {
    let context = Context::new(64).unwrap();
    let file = tempfile::tempfile_in("/var/tmp").unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = context.submit(Operation::write(&file, vec![0u8; 512], 0)).map(uaio::Ticket::wait);
                }
            });
        }
        let mut slot = None;
        for _ in 0..50 {
            slot = slot.or_else(|| context.submit(Operation::fsync(&file)).ok());
            assert!(in_child(|| {
                let inert = slot.take().is_none_or(|ticket| ticket.wait().result == Err(Errno::EINVAL));
                inert && context.submit(Operation::fsync(&file)).is_err() && Context::new(1).is_ok()
            }));
        }
        stop.store(true, Ordering::Relaxed);
    });
}
