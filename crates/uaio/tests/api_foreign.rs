//! Code that is not ours, and runs inside of ours: wakers that call back or panic, buffers whose drop does, contexts that
//! end while others still submit.

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use uaio::{Context, Errno, IoBuf, IoBufMut, Operation, Ticket};

fn pipe() -> (OwnedFd, File) {
    let (r, w) = std::io::pipe().unwrap();
    (OwnedFd::from(r), File::from(OwnedFd::from(w)))
}

fn poll<B>(ticket: &mut Ticket<B>, waker: &Waker) -> Poll<uaio::Completion<B>> {
    Pin::new(ticket).poll(&mut Task::from_waker(waker))
}

/// Submits, waits and panics where it is woken.
struct Rude {
    context: Arc<Context>,
    file: File,
    woken: AtomicU32,
}

impl Wake for Rude {
    fn wake(self: Arc<Self>) {
        self.context.dispatch();
        let write = self.context.submit(Operation::write(&self.file, b"from a waker", 0)).unwrap();
        assert_eq!(write.wait().result, Ok(12));
        self.woken.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose");
    }
}

#[test]
fn a_waker_may_call_back_and_panic() {
    let context = Arc::new(Context::new(8).unwrap());
    let (r, mut w) = pipe();
    let file = tempfile::tempfile_in("/var/tmp").unwrap();
    let rude = Arc::new(Rude { context: Arc::clone(&context), file, woken: AtomicU32::new(0) });
    let waker = Waker::from(Arc::clone(&rude));
    let mut tickets: Vec<_> =
        (0..3).map(|_| context.submit(Operation::read(&r, vec![0u8; 1], 0)).unwrap()).collect();
    assert!(tickets.iter_mut().all(|ticket| poll(ticket, &waker).is_pending()));
    w.write_all(b"abc").unwrap();
    let begun = Instant::now();
    while rude.woken.load(Ordering::SeqCst) < 3 && begun.elapsed() < Duration::from_secs(90) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(rude.woken.load(Ordering::SeqCst), 3);
    assert!(tickets.into_iter().all(|ticket| ticket.wait().result == Ok(1)));
}

/// What a [`Buffer`] does when it is dropped.
type Last = Box<dyn FnOnce() + Send>;

/// A buffer whose end is code.
struct Buffer(Vec<u8>, Option<Last>);

// SAFETY: as of the `Vec`, whose bytes they are.
unsafe impl IoBufMut for Buffer {
    fn io_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    fn io_room(&self) -> usize {
        self.0.capacity()
    }

    unsafe fn set_filled(&mut self, bytes: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.0.set_len(bytes) };
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.1.take().into_iter().for_each(|last| last());
    }
}

#[test]
fn a_detached_buffer_may_do_anything_at_its_end() {
    let context = Arc::new(Context::new(4).unwrap());
    let (r, mut w) = pipe();
    let (file, seen) = (tempfile::tempfile_in("/var/tmp").unwrap(), Arc::new(AtomicU32::new(0)));
    let inner = Arc::clone(&context);
    let count = Arc::clone(&seen);
    let submits: Last = Box::new(move || {
        let fsync = inner.submit(Operation::fsync(&file)).unwrap();
        assert_eq!(fsync.wait().result, Ok(0));
        count.fetch_add(1, Ordering::SeqCst);
    });
    let count = Arc::clone(&seen);
    let panics: Last = Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose");
    });
    for last in [submits, panics] {
        drop(context.submit(Operation::read(&r, Buffer(Vec::with_capacity(1), Some(last)), 0)).unwrap());
    }
    let third = context.submit(Operation::read(&r, vec![0u8; 1], 0)).unwrap();
    w.write_all(b"abc").unwrap();
    assert_eq!(third.wait().result, Ok(1));
    let begun = Instant::now();
    while seen.load(Ordering::SeqCst) < 2 && begun.elapsed() < Duration::from_secs(90) {
        context.dispatch();
    }
    // Both ends were reached, and all places are free again.
    let all = context.submit_all((0..4).map(|_| Operation::read(&r, vec![0u8; 1], 0)));
    assert_eq!((seen.load(Ordering::SeqCst), all.accepted.len()), (2, 4));
}

/// The last handle of a context may be in a buffer of its own.
#[test]
fn a_context_may_end_in_the_end_of_its_own_buffer() {
    let context = Arc::new(Context::new(4).unwrap());
    let (r, mut w) = pipe();
    let inner = Arc::clone(&context);
    let last: Last = Box::new(move || drop(inner));
    let mut done = context.completions::<Vec<u8>>();
    drop(context.submit(Operation::read(&r, Buffer(Vec::with_capacity(1), Some(last)), 0)).unwrap());
    done.submit(Operation::read(&r, vec![0u8; 1], 0)).unwrap();
    drop(context);
    w.write_all(b"ab").unwrap();
    assert!(done.next().unwrap().result.is_ok());
    assert!(done.next().is_none());
}

/// A buffer that panics when it is told what was read.
struct Deaf(Vec<u8>, bool);

// SAFETY: as of the `Vec`, whose bytes they are.
unsafe impl IoBufMut for Deaf {
    fn io_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    fn io_room(&self) -> usize {
        self.0.capacity()
    }

    unsafe fn set_filled(&mut self, bytes: usize) {
        assert!(!self.1, "on purpose");
        // SAFETY: the caller's promise.
        unsafe { self.0.set_len(bytes) };
    }
}

#[test]
fn one_buffer_that_panics_leaves_the_others_right() {
    let (context, file) = (Context::new(8).unwrap(), tempfile::tempfile_in("/var/tmp").unwrap());
    (&file).write_all(&[7; 64]).unwrap();
    let mut done = context.completions();
    let read = |i: u64| Operation::read(&file, Deaf(Vec::with_capacity(8), i == 1), i * 8);
    assert_eq!(done.submit_all((0..4).map(read)).all().unwrap().len(), 4);
    let first = catch_unwind(AssertUnwindSafe(|| done.next()));
    assert!(first.is_err());
    let lens: Vec<usize> = done.by_ref().map(|one| one.buffer.0.len()).collect();
    assert_eq!(lens, [8, 0, 8, 8]);
    assert_eq!(context.in_flight(), 0);
}

/// Threads submit by sets of completions that outlive the context, which another thread ends.
#[test]
fn a_context_ends_while_others_submit() {
    for _ in 0..50 {
        let context = Context::new(16).unwrap();
        let file = tempfile::tempfile_in("/var/tmp").unwrap();
        let total = Mutex::new(0);
        std::thread::scope(|threads| {
            for _ in 0..3 {
                let (mut done, file, total) = (context.completions(), &file, &total);
                threads.spawn(move || {
                    let mut accepted = 0;
                    let refused = loop {
                        let batch = done.submit_all((0..3).map(|i| Operation::write(file, vec![1u8; 8], i * 8)));
                        accepted += batch.accepted.len();
                        *total.lock().unwrap() += done.by_ref().map(|one| one.result.unwrap()).sum::<usize>();
                        match batch.errno {
                            None | Some(Errno::EAGAIN) => {}
                            Some(errno) => break errno,
                        }
                    };
                    assert_eq!(refused, Errno::EINVAL);
                    assert_eq!((done.len(), accepted > 0 || done.next().is_none()), (0, true));
                });
            }
            std::thread::sleep(Duration::from_micros(300));
            drop(context);
        });
        assert_eq!(*total.lock().unwrap() % 8, 0);
    }
}

/// What is written from cannot be moved away by a panic: it is the caller's again.
#[test]
fn a_buffer_that_cannot_be_described_harms_nothing() {
    struct Undescribed(Vec<u8>);
    // SAFETY: it never gives an address.
    unsafe impl IoBuf for Undescribed {
        fn io_ptr(&self) -> *const u8 {
            panic!("on purpose")
        }

        fn io_len(&self) -> usize {
            self.0.len()
        }
    }
    let (context, file) = (Context::new(1).unwrap(), tempfile::tempfile_in("/var/tmp").unwrap());
    let write = || context.submit(Operation::write(&file, Undescribed(vec![1]), 0)).map(drop).is_ok();
    assert!(catch_unwind(AssertUnwindSafe(write)).is_err());
    assert_eq!(context.submit(Operation::write(&file, vec![1u8], 0)).unwrap().wait().result, Ok(1));
}
