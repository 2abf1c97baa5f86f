//! The safe API under Miri, over the threads and scripted engines: what Miri has no system call for is done by libc's
//! functions (`os/miri.rs`). A regular file, and an end for everything. Small: Miri is slow.
#![cfg(miri)]

use std::fs::File;
use std::mem::forget;
use std::os::fd::OwnedFd;

use uaio::{BufferPool, Cancel, Context, Engine, Errno, Operation};

fn scratch(name: &str) -> File {
    let path = std::env::temp_dir().join(format!("uaio-miri-{}-{name}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

fn threads() -> Context {
    Context::builder().capacity(4).engine(Engine::Threads).build().unwrap()
}

fn scripted(script: &str) -> Context {
    Context::builder().capacity(4).faults(script.parse().unwrap()).build().unwrap()
}

#[test]
fn what_was_written_is_read() {
    let file = scratch("rw");
    // One after the other: under Miri there can be two contexts, and one of them is forgotten below.
    for make in [threads, || scripted("")] {
        let context = make();
        let write = context.submit(Operation::write(&file, b"0123456789".to_vec(), 0)).unwrap();
        assert_eq!(write.wait().result, Ok(10));
        let (bytes, back) = context.submit(Operation::read(&file, vec![0; 4], 3)).unwrap().wait().ok().unwrap();
        assert_eq!((bytes, &back[..]), (4, &b"3456"[..]));
        let parts = vec![vec![1u8; 3], vec![2u8; 2]];
        assert_eq!(context.submit(Operation::write_vectored(&file, parts, 2)).unwrap().wait().result, Ok(5));
        let room = (0..9).map(|_| Vec::with_capacity(1)).collect();
        let done = context.submit(Operation::read_vectored(&file, room, 1)).unwrap().wait();
        assert_eq!((done.result, done.buffer.concat()), (Ok(9), b"1\x01\x01\x01\x02\x02789".to_vec()));
        assert_eq!(context.submit(Operation::fsync(&file)).unwrap().wait().result, Ok(0));
    }
}

#[test]
fn batches_and_completions() {
    let (file, context, pool) = (scratch("batch"), threads(), BufferPool::new(2, 8, 8));
    let mut done = context.completions();
    for _ in 0..2 {
        let write = |i: u64| Operation::write(&file, pool.take().unwrap(), i * 8);
        assert_eq!(done.submit_all((0..2).map(write)).accepted.len(), 2);
        assert!(done.next_batch().all(|one| one.result == Ok(8)));
        assert!(done.by_ref().all(|one| one.result == Ok(8)));
    }
    let large = [0u64; 7];
    let tickets = context.submit_all((0..6).map(|i| Operation::read(&file, vec![large.len() as u8; 8], i)));
    assert_eq!((tickets.accepted.len(), tickets.errno), (4, Some(Errno::EAGAIN)));
    drop(tickets);
}

#[test]
fn a_scope_lends_and_waits() {
    let (file, context, mut parts) = (scratch("scope"), threads(), [[0u8; 4]; 2]);
    std::os::unix::fs::FileExt::write_all_at(&file, b"abcdefgh", 0).unwrap();
    context.scope(|scope| {
        for (i, part) in parts.iter_mut().enumerate() {
            drop(scope.submit(Operation::read(&file, &mut part[..], i as u64 * 4)).unwrap());
        }
    });
    assert_eq!(parts, [*b"abcd", *b"efgh"]);
}

#[test]
fn faults_meet_what_they_name() {
    let file = scratch("faults");
    std::os::unix::fs::FileExt::write_all_at(&file, b"abcdefgh", 0).unwrap();
    let context = scripted("read:EIO nth=2; read:short 3 nth=3; read:corrupt nth=4; read:delay 1ms nth=5");
    let read = || context.submit(Operation::read(&file, vec![0u8; 8], 0)).unwrap().wait();
    let seen: Vec<_> =
        (0..5).map(|_| read()).map(|done| (done.result, done.buffer.first() == Some(&b'a'))).collect();
    assert_eq!(seen, [(Ok(8), true), (Err(Errno::EIO), false), (Ok(3), true), (Ok(8), false), (Ok(8), true)]);
}

/// A pipe that is empty at submit: the library thread has it, and a buffer that nobody else may touch.
#[test]
fn what_waits_is_ended() {
    let context = threads();
    let (r, w) = std::io::pipe().unwrap();
    let r = OwnedFd::from(r);
    let read = || context.submit(Operation::read(&r, vec![0u8; 8], 0)).unwrap();
    let (cancelled, detached, left) = (read(), read(), read());
    assert_ne!(cancelled.cancel(), Cancel::TooLate);
    assert_eq!(cancelled.wait().result, Err(Errno::ECANCELED));
    drop(detached);
    drop(context);
    assert_eq!(left.wait().result, Err(Errno::ECANCELED));
    drop(w);
}

#[test]
fn forgetting_is_sound() {
    let (file, context) = (scratch("forget"), threads());
    let (r, mut w) = std::io::pipe().unwrap();
    let r = OwnedFd::from(r);
    forget(context.submit(Operation::write(&file, vec![1u8; 8], 0)).unwrap());
    forget(context.submit(Operation::read(&r, vec![0u8; 8], 0)).unwrap());
    std::io::Write::write_all(&mut w, b"x").unwrap();
    assert_eq!(context.submit(Operation::fsync(&file)).unwrap().wait().result, Ok(0));
    forget(context);
}

/// What is told about a pool touches no buffer that somebody has; and buffers may go last.
#[test]
fn a_pool_and_its_buffers() {
    let pool = BufferPool::new(2, 8, 8);
    let mut buf = pool.take().unwrap();
    let bytes = &mut buf[..];
    assert!(format!("{pool:?}").contains("2 x 8"));
    bytes[0] = 1;
    let clone = pool.clone();
    drop(pool);
    let other = std::thread::spawn(move || clone.take().unwrap()).join().unwrap();
    buf[7] = other[7];
    drop(buf);
    assert_eq!(other.len(), 8);
}
