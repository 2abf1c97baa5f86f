//! The safe API on every engine: operations, refusals, waiting, cancelling, ending.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uaio::{
    AlignedBuf, BufferPool, Cancel, Completion, Context, Engine, Errno, Operation, Priority, Readiness, RwFlags,
};

const ENGINES: [Engine; 3] = [Engine::Inline, Engine::Uring, Engine::Threads];

fn on_every_engine(body: impl Fn(Context)) {
    for engine in ENGINES {
        match Context::builder().capacity(16).engine(engine).build() {
            Ok(context) => body(context),
            Err(Errno::ENOSYS) => eprintln!("{engine:?} is not applicable here"),
            Err(why) => panic!("{engine:?}: {why}"),
        }
    }
}

fn waiting_engines(body: impl Fn(Context)) {
    for engine in [Engine::Uring, Engine::Threads] {
        match Context::builder().capacity(16).engine(engine).build() {
            Ok(context) => body(context),
            Err(why) => assert_eq!(why, Errno::ENOSYS),
        }
    }
}

fn scratch() -> File {
    tempfile::tempfile_in("/var/tmp").unwrap()
}

fn pipe() -> (File, File) {
    let (r, w) = std::io::pipe().unwrap();
    (File::from(OwnedFd::from(r)), File::from(OwnedFd::from(w)))
}

fn bytes<B>(completion: Completion<B>) -> (usize, B) {
    completion.ok().unwrap()
}

#[test]
fn what_was_written_is_read() {
    on_every_engine(|context| {
        let file = Arc::new(scratch());
        let data: Vec<u8> = (0..10_000).map(|i| (i % 251) as u8).collect();
        let (n, data) = bytes(context.submit(Operation::write(&file, data, 5)).unwrap().wait());
        assert_eq!(n, 10_000);
        let synced = context.submit(Operation::fdatasync(Arc::clone(&file))).unwrap().wait();
        assert_eq!(synced.result, Ok(0));
        assert_eq!(context.submit(Operation::fsync(&file)).unwrap().wait().result, Ok(0));
        let read = Operation::read(&*file, Vec::with_capacity(20_000), 5);
        let (n, back) = bytes(context.submit(read).unwrap().wait());
        assert_eq!((n, back == data), (10_000, true));
        let read = Operation::read(&file, vec![1u8; 8].into_boxed_slice(), 1 << 40);
        assert_eq!(bytes(context.submit(read).unwrap().wait()), (0, vec![1u8; 8].into_boxed_slice()));
    });
}

#[test]
fn vectors_are_filled_in_order() {
    on_every_engine(|context| {
        let file = scratch();
        for count in [1, 8, 9, 40] {
            let parts: Vec<Vec<u8>> = (0..count).map(|i| vec![i as u8; 3 + i]).collect();
            let all: Vec<u8> = parts.concat();
            let (n, _) = bytes(context.submit(Operation::write_vectored(&file, parts, 0)).unwrap().wait());
            assert_eq!(n, all.len());
            let room: Vec<Vec<u8>> = (0..count).map(|i| Vec::with_capacity(2 + i)).collect();
            let read = Operation::read_vectored(&file, room, 0).flags(RwFlags::HIPRI);
            let (n, back) = bytes(context.submit(read).unwrap().wait());
            assert_eq!((n, back.concat()), (all.len() - count, all[..all.len() - count].to_vec()));
        }
    });
}

#[test]
fn direct_io_from_a_pool() {
    use std::os::unix::fs::OpenOptionsExt;
    let place = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    let file = File::options().read(true).write(true).custom_flags(libc::O_DIRECT).open(place.path());
    let Ok(file) = file else { return eprintln!("O_DIRECT is not applicable here") };
    file.set_len(1 << 20).unwrap();
    let pool = BufferPool::new(16, 4096, 4096);
    on_every_engine(|context| {
        let mut done = context.completions();
        for block in 0..16u64 {
            let mut buf = pool.take().unwrap();
            buf.fill(block as u8 + 1);
            done.push(context.submit(Operation::write(&file, buf, block * 4096)).unwrap());
        }
        assert!(pool.take().is_none());
        assert!(done.by_ref().all(|c| c.result == Ok(4096)));
        assert!(done.next().is_none() && pool.take().is_some());
        let mut buf = AlignedBuf::new(16 * 4096, 4096);
        buf.set_len(0);
        let (n, buf) = bytes(context.submit(Operation::read(&file, buf, 0)).unwrap().wait());
        assert_eq!((n, buf.len()), (65536, 65536));
        assert!(buf.chunks(4096).enumerate().all(|(i, page)| page.iter().all(|b| *b as usize == i + 1)));
    });
}

#[test]
fn a_refused_operation_comes_back() {
    on_every_engine(|context| {
        let file = File::open("/dev/null").unwrap();
        let refused = context.submit(Operation::write(&file, b"kept".to_vec(), 0)).unwrap_err();
        assert_eq!((refused.errno, refused.into_buffer()), (Errno::EBADF, b"kept".to_vec()));
        let refused = context.submit(Operation::read(&file, vec![0u8; 9], u64::MAX)).unwrap_err();
        assert_eq!(refused.errno, Errno::EINVAL);
        let refused = context.submit(Operation::fsync(&file).flags(RwFlags::DSYNC)).unwrap_err();
        assert_eq!(refused.errno, Errno::EINVAL);
        assert_eq!(context.in_flight(), 0);
    });
}

#[test]
fn a_batch_tells_what_it_left() {
    on_every_engine(|context| {
        let (good, bad) = (scratch(), File::open("/dev/null").unwrap());
        let write =
            |i: usize| Operation::write(if i == 3 { &bad } else { &good }, vec![i as u8; 10], i as u64 * 10);
        let batch = context.submit_all((0..6).map(write));
        assert_eq!((batch.accepted.len(), batch.errno), (3, Some(Errno::EBADF)));
        let left: Vec<Vec<u8>> = batch.rest.into_iter().map(Operation::into_buffer).collect();
        assert_eq!(left, (3..6).map(|i| vec![i as u8; 10]).collect::<Vec<_>>());
        assert!(batch.accepted.into_iter().all(|ticket| ticket.wait().result == Ok(10)));
        let mut done = context.completions();
        let queued = done.submit_all((0..6).map(write));
        assert_eq!((queued.accepted.len(), queued.rest.len(), done.len()), (3, 3, 3));
        assert!(done.by_ref().map(|one| one.id).eq(queued.accepted));
        // The room is as large as was asked for: 16.
        let all = context.submit_all((0..20).map(|i| Operation::read(&good, vec![0u8; 1], i))).all().unwrap_err();
        assert_eq!((all.accepted.len(), all.rest.len(), all.errno), (16, 4, Some(Errno::EAGAIN)));
        let refused = context.submit(Operation::read(&good, vec![0u8; 1], 0)).unwrap_err();
        assert_eq!(refused.errno, Errno::EAGAIN);
        drop(all.accepted);
        assert!(context.submit(Operation::read(&good, vec![0u8; 1], 0)).is_ok());
    });
}

#[test]
fn polls_and_pipes_wait_and_can_be_cancelled() {
    waiting_engines(|context| {
        let (r, mut w) = pipe();
        let read = context.submit(Operation::read(&r, vec![0u8; 16], 0)).unwrap();
        let poll = context.submit(Operation::poll(&r, Readiness::IN)).unwrap();
        let read = read.wait_timeout(Duration::from_millis(20)).unwrap_err();
        assert!(!read.is_done() && context.in_flight() == 2);
        assert_ne!(read.cancel(), Cancel::TooLate);
        let ended = read.wait();
        assert_eq!((ended.result, ended.buffer.len()), (Err(Errno::ECANCELED), 16));
        w.write_all(b"x").unwrap();
        let ready = poll.wait().readiness().unwrap();
        assert!(ready.contains(Readiness::IN));
        let poll = context.submit(Operation::poll(&r, Readiness::IN)).unwrap();
        assert!(poll.wait_timeout(Duration::from_secs(90)).is_ok());
        let read = context.submit(Operation::read(&r, vec![0u8; 16], 0)).unwrap();
        assert_eq!(bytes(read.wait()), (1, b"x".to_vec()));
        let poll = context.submit(Operation::poll(&r, Readiness::IN)).unwrap();
        assert_ne!(poll.cancel(), Cancel::TooLate);
        assert_eq!(poll.wait().readiness(), Ok(Readiness::empty()));
        let late = context.submit(Operation::fsync(scratch())).unwrap();
        let begun = Instant::now();
        while !late.is_done() && begun.elapsed() < Duration::from_secs(90) {
            std::thread::sleep(Duration::from_millis(1));
            context.dispatch();
        }
        assert_eq!(late.cancel(), Cancel::TooLate);
    });
}

#[test]
fn threads_that_wait_tell_each_other() {
    waiting_engines(|context| {
        let pipes: Vec<_> = (0..8).map(|_| pipe()).collect();
        std::thread::scope(|threads| {
            let mut waiting = Vec::new();
            for (i, (r, _)) in pipes.iter().enumerate() {
                let ticket = context.submit(Operation::read(r, vec![0u8; 4], 0)).unwrap();
                waiting.push(threads.spawn(move || (i, bytes(ticket.wait()))));
            }
            for (i, (_, w)) in pipes.iter().enumerate().rev() {
                let mut w = w;
                w.write_all(&[i as u8]).unwrap();
            }
            for thread in waiting {
                let (i, got) = thread.join().unwrap();
                assert_eq!(got, (1, vec![i as u8]));
            }
        });
    });
}

#[test]
fn completions_come_as_they_end() {
    waiting_engines(|context| {
        let pipes: Vec<_> = (0..4).map(|_| pipe()).collect();
        let mut done = context.completions();
        done.extend(pipes[..3].iter().map(|(r, _)| context.submit(Operation::read(r, vec![0u8; 4], 0)).unwrap()));
        let last = done.submit(Operation::read(&pipes[3].0, vec![0u8; 4], 0)).unwrap();
        assert_eq!(done.submit(Operation::read(&pipes[3].1, vec![0u8; 4], 0)).unwrap_err().errno, Errno::EBADF);
        assert!(done.try_next().is_none() && done.len() == 4);
        assert!(done.next_timeout(Duration::from_millis(10)).is_none());
        for i in [2usize, 0, 3] {
            let mut w = &pipes[i].1;
            w.write_all(&[i as u8]).unwrap();
            let next = done.next().unwrap();
            assert_eq!((next.buffer, next.id == last), (vec![i as u8], i == 3));
        }
        assert_eq!(done.len(), 1);
        drop(done);
        assert_eq!(context.in_flight(), 1);
    });
}

#[test]
fn an_event_loop_is_told() {
    for engine in ENGINES {
        let Ok(context) = Context::builder().engine(engine).eventfd().build() else { continue };
        let file = scratch();
        let tickets = context.submit_all((0..8).map(|i| Operation::write(&file, vec![7u8; 100], i * 100)));
        let tickets = tickets.all().unwrap();
        let eventfd = context.eventfd().unwrap();
        let mut total = 0;
        while total < 8 {
            let mut p = libc::pollfd { fd: eventfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd.
            assert_eq!(unsafe { libc::poll(&mut p, 1, 5000) }, 1);
            total += context.dispatch();
        }
        assert!(tickets.iter().all(uaio::Ticket::is_done));
        assert_eq!(context.dispatch(), 0);
    }
}

#[test]
fn close_tells_what_was_still_to_come() {
    waiting_engines(|context| {
        let (r, _w) = pipe();
        let read = context.submit(Operation::read(&r, vec![0u8; 4], 0)).unwrap();
        let poll = context.submit(Operation::poll(&r, Readiness::IN)).unwrap();
        drop(context.submit(Operation::poll(&r, Readiness::IN)).unwrap());
        let started = Instant::now();
        let mut ended = context.close().wait();
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
        assert_eq!(ended.len(), 3);
        ended.retain(|one| one.id == read.id() || one.id == poll.id());
        ended.sort_by_key(|one| one.result.is_ok());
        assert_eq!((ended[0].id, ended[0].result), (read.id(), Err(Errno::ECANCELED)));
        assert_eq!((ended[1].id, ended[1].result), (poll.id(), Ok(0)));
        assert_eq!((read.wait().buffer.len(), poll.wait().result), (4, Ok(0)));
    });
}

#[test]
fn drop_ends_what_others_wait_for() {
    waiting_engines(|context| {
        let (r, _w) = pipe();
        let ticket = context.submit(Operation::read(&r, vec![0u8; 4], 0)).unwrap();
        let waiter = std::thread::spawn(move || ticket.wait().result);
        std::thread::sleep(Duration::from_millis(20));
        drop(context);
        assert_eq!(waiter.join().unwrap(), Err(Errno::ECANCELED));
    });
}

#[test]
fn accepted_writes_are_performed_by_drop() {
    on_every_engine(|context| {
        let mut file = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
        for block in 0..16 {
            drop(context.submit(Operation::write(file.as_file(), vec![9u8; 4096], block * 4096)).unwrap());
        }
        drop(context);
        let mut back = Vec::new();
        file.read_to_end(&mut back).unwrap();
        assert_eq!(back, vec![9u8; 65536]);
    });
}

#[test]
fn bytes_in_flight_are_limited() {
    waiting_engines(|_| {
        let context = Context::builder().bytes_in_flight(100).build().unwrap();
        let (r, w) = pipe();
        let large = context.submit(Operation::read(&r, vec![0u8; 1000], 0)).unwrap();
        assert_eq!(context.submit(Operation::read(&r, vec![0u8; 1], 0)).unwrap_err().errno, Errno::EAGAIN);
        drop(w);
        assert_eq!(large.wait().result, Ok(0));
        let two = [50, 50].map(|n| context.submit(Operation::read(&r, vec![0u8; n], 0)).unwrap());
        assert_eq!(context.submit(Operation::read(&r, vec![0u8; 1], 0)).unwrap_err().errno, Errno::EAGAIN);
        assert_eq!(two.map(|ticket| ticket.wait().result), [Ok(0), Ok(0)]);
        assert!(context.submit(Operation::read(&r, vec![0u8; 100], 0)).is_ok());
    });
}

#[test]
fn large_values_and_their_drops() {
    struct Large(Vec<u8>, [u64; 20], Arc<()>);
    // SAFETY: the bytes are the Vec's, on the heap.
    unsafe impl uaio::IoBuf for Large {
        fn io_ptr(&self) -> *const u8 {
            self.0.as_ptr()
        }
        fn io_len(&self) -> usize {
            self.0.len()
        }
    }
    on_every_engine(|context| {
        let (file, alive) = (scratch(), Arc::new(()));
        let large = || Large(vec![1; 10], [7; 20], Arc::clone(&alive));
        let (_, back) = bytes(context.submit(Operation::write(&file, large(), 0)).unwrap().wait());
        assert_eq!((back.1, Arc::strong_count(&alive)), ([7; 20], 2));
        drop(back.2);
        drop(context.submit(Operation::write(&file, large(), 0)).unwrap());
        drop(context);
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

#[test]
fn the_builder_refuses_what_cannot_be() {
    assert_eq!(Context::new(0).unwrap_err(), Errno::EINVAL);
    assert_eq!(Context::new(u32::MAX >> 1).unwrap_err(), Errno::EINVAL);
    let context = Context::builder().name("store").capacity(3).build().unwrap();
    assert_eq!(format!("{context:?}"), "Context(store, 0 of 3 in flight)");
    let (a, b) = (Context::new(1).unwrap(), Context::new(1).unwrap());
    let ticket = a.submit(Operation::fsync(scratch())).unwrap();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| b.completions().push(ticket))).is_err());
}

/// A buffer whose description panics.
#[derive(Debug)]
struct Rude(Vec<u8>, bool);

// SAFETY: as of the `Vec`, where it does not panic.
unsafe impl uaio::IoBuf for Rude {
    fn io_ptr(&self) -> *const u8 {
        assert!(!self.1, "rude");
        self.0.as_ptr()
    }

    fn io_len(&self) -> usize {
        self.0.len()
    }
}

/// The panic leaves no operation behind that was never submitted: the context still has all its places, and ends.
#[test]
fn a_panic_in_a_batch_gives_the_places_back() {
    let (file, context) = (scratch(), Context::new(4).unwrap());
    let write = |i: u64| Operation::write(&file, Rude(vec![1u8; 8], i == 2), i * 8);
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| context.submit_all((0..4).map(write))));
    assert!(panicked.is_err() && context.in_flight() == 0);
    let good = |i: u64| Operation::write(&file, Rude(vec![1u8; 8], false), i * 8);
    let tickets = context.submit_all((0..4).map(good)).all().unwrap();
    assert!(tickets.into_iter().all(|ticket| ticket.wait().result == Ok(8)));
}

/// More buffers than bits of a word, threads that take and give back, and a pool that goes first.
#[test]
fn a_pool_lives_as_long_as_its_buffers() {
    let pool = BufferPool::new(130, 100, 64);
    let all: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
    let mut starts: Vec<usize> = all.iter().map(|buf| buf.as_ptr() as usize).collect();
    starts.sort_unstable();
    assert!(starts.windows(2).all(|two| two[1] - two[0] == 128) && starts.len() == 130);
    drop(all);
    std::thread::scope(|threads| {
        for own in 0..4u8 {
            let pool = pool.clone();
            threads.spawn(move || {
                for _ in 0..2000 {
                    let mut buf = pool.take().unwrap();
                    buf.fill(own);
                    assert!(buf.iter().all(|byte| *byte == own));
                }
            });
        }
    });
    let mut last = [pool.take().unwrap(), pool.clone().take().unwrap()];
    assert!(format!("{pool:?}").starts_with("BufferPool(130 x 100 bytes, "));
    drop(pool);
    last[1].fill(9);
    assert_eq!((last[1].len(), last[0].capacity()), (100, 100));
}

/// More than one io_submit takes, from iterators that know how many there are, and from those that do not.
#[test]
fn a_batch_may_be_of_any_length() {
    let (file, context) = (scratch(), Context::new(100).unwrap());
    let write = |i: u64| Operation::write(&file, vec![i as u8; 4], i * 4);
    let mut done = context.completions();
    let mut left = 0..70;
    let unknown = std::iter::from_fn(|| left.next().map(write));
    assert_eq!(done.submit_all(unknown).all().unwrap().len(), 70);
    assert_eq!(done.submit_all((0..90).filter(|i| i % 3 == 0).map(write)).all().unwrap().len(), 30);
    // Full, and nothing to be refused.
    assert!(done.submit_all(std::iter::from_fn(|| None::<Operation<'_, Vec<u8>>>)).errno.is_none());
    let over = done.submit_all((0..40).map(write));
    assert_eq!((over.accepted.len(), over.rest.len(), over.errno), (0, 40, Some(Errno::EAGAIN)));
    assert!(done.by_ref().take(50).all(|one| one.result == Ok(4)));
    // Several are taken out of the context at once.
    let over = done.submit_all((0..99).map(write));
    let (accepted, errno) = (over.accepted.len(), over.errno);
    assert!(accepted >= 50 && accepted + over.rest.len() == 99 && errno == Some(Errno::EAGAIN));
    let left = over.rest.into_iter().map(Operation::into_buffer);
    assert!(left.eq((accepted as u64..99).map(|i| vec![i as u8; 4])));
    drop(done);
    assert_eq!(context.submit_all((0..100).map(write)).all().unwrap().len(), 100);
}

/// A thread that looks all the time keeps nobody from leaving.
#[test]
fn looking_holds_up_nobody() {
    let (file, context) = (scratch(), Context::new(8).unwrap());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let begun = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(90)
                {
                    context.dispatch();
                }
            });
        }
        for _ in 0..20_000 {
            let ticket = context.submit(Operation::write(&file, vec![1u8; 8], 0)).unwrap();
            assert_eq!(ticket.wait().result, Ok(8));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn a_priority_that_there_is_none_of_is_refused() {
    let (file, context) = (scratch(), Context::new(1).unwrap());
    for (priority, errno) in [
        (Priority::BestEffort(7), None),
        (Priority::Idle, None),
        (Priority::BestEffort(8), Some(Errno::EINVAL)),
        (Priority::RealTime(200), Some(Errno::EINVAL)),
    ] {
        let read = Operation::read(&file, vec![0u8; 4], 0).priority(priority);
        assert_eq!(context.submit(read).err().map(|refused| refused.errno), errno, "{priority:?}");
    }
    // Who reads nothing has none.
    assert!(context.submit(Operation::fsync(&file).priority(Priority::Idle)).is_ok());
}
