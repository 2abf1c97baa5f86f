//! A context with a script of its own: it alone meets the faults, and always the same ones.

use std::fs::File;
use std::time::{Duration, Instant};

use uaio::{Builder, Context, Engine, Errno, Faults, Operation};

fn builder(script: &str) -> Builder {
    Context::builder().capacity(16).faults(script.parse().unwrap())
}

fn scratch() -> File {
    let file = tempfile::tempfile_in("/var/tmp").unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[b'o'; 8192], 0).unwrap();
    file
}

fn reads(context: &Context, file: &File, count: usize) -> Vec<Result<usize, Errno>> {
    (0..count).map(|_| context.submit(Operation::read(file, vec![0u8; 100], 0)).unwrap().wait().result).collect()
}

#[test]
fn each_context_follows_its_own_script() {
    let file = scratch();
    let contexts = ["read:EIO nth=2", "read:short 10 nth=1", ""].map(|script| builder(script).build().unwrap());
    let plain = Context::new(16).unwrap();
    let seen = contexts.each_ref().map(|context| reads(context, &file, 3));
    let good = [Ok(100), Ok(100), Ok(100)];
    assert_eq!(seen, [[Ok(100), Err(Errno::EIO), Ok(100)], [Ok(10), Ok(100), Ok(100)], good]);
    assert_eq!(reads(&plain, &file, 3), good);
    drop(contexts);
    // A new context counts from 1, whatever place it was given.
    assert_eq!(reads(&builder("any:ENOSPC nth=1").build().unwrap(), &file, 2), [Err(Errno::ENOSPC), Ok(100)]);
    assert_eq!(reads(&Context::new(16).unwrap(), &file, 1), [Ok(100)]);
}

#[test]
fn the_script_outweighs_the_engine() {
    for engine in [Engine::Inline, Engine::Uring, Engine::Threads] {
        let context = builder("read:EIO").engine(engine).build().unwrap();
        assert_eq!(reads(&context, &scratch(), 1), [Err(Errno::EIO)]);
    }
}

#[test]
fn chances_depend_on_the_seed_alone() {
    let file = scratch();
    let seen = |script: &str| reads(&builder(script).build().unwrap(), &file, 64);
    let first = seen("seed=5; read:EIO 30%; read:short 30%");
    assert_eq!(first, seen("seed=5; read:EIO 30%; read:short 30%"));
    assert_ne!(first, seen("seed=6; read:EIO 30%; read:short 30%"));
}

#[test]
fn a_short_submit_is_sent_on_and_a_refused_one_comes_back() {
    let file = scratch();
    let read = |_| Operation::read(&file, vec![0u8; 8], 0);
    let context = builder("submit:short 2 nth=1; submit:EAGAIN nth=2").build().unwrap();
    let batch = context.submit_all((0..5).map(read));
    assert_eq!((batch.accepted.len(), batch.rest.len(), batch.errno), (2, 3, Some(Errno::EAGAIN)));
    let rest = context.submit_all(batch.rest).all().unwrap();
    assert!(rest.into_iter().chain(batch.accepted).all(|ticket| ticket.wait().result == Ok(8)));
}

#[test]
fn completions_come_late_and_in_another_order() {
    let (file, context) = (scratch(), builder("seed=1; reorder 60ms").build().unwrap());
    let mut done = context.completions();
    let begun = Instant::now();
    let ids: Vec<u64> = (0..16).map(|_| done.submit(Operation::read(&file, vec![0u8; 8], 0)).unwrap()).collect();
    let came: Vec<u64> = done.by_ref().map(|one| one.id).collect();
    let mut sorted = came.clone();
    sorted.sort_unstable_by_key(|id| ids.iter().position(|one| one == id));
    assert!(sorted == ids && came != ids && begun.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_delay_of_what_a_worker_executes_and_of_a_pipe() {
    use std::io::Write;
    let context = builder("any:delay 50ms").build().unwrap();
    let (r, mut w) = std::io::pipe().unwrap();
    let r = std::os::fd::OwnedFd::from(r);
    let waiting = context.submit(Operation::read(&r, vec![0u8; 8], 0)).unwrap();
    w.write_all(b"x").unwrap();
    let begun = Instant::now();
    assert_eq!(waiting.wait().result, Ok(1));
    assert!(begun.elapsed() >= Duration::from_millis(40));
    assert_eq!(context.submit(Operation::fsync(scratch())).unwrap().wait().result, Ok(0));
}

#[test]
fn dropping_the_context_does_not_wait_for_delays() {
    let context = builder("any:delay 60s").build().unwrap();
    let ticket = context.submit(Operation::read(scratch(), vec![0u8; 8], 0)).unwrap();
    let begun = Instant::now();
    drop(context);
    assert_eq!(ticket.wait().result, Ok(8));
    assert!(begun.elapsed() < Duration::from_secs(120));
}

#[test]
fn what_cannot_be_read_says_why() {
    let why = "read:EWHAT".parse::<Faults>().unwrap_err();
    assert!(why.to_string().contains("'EWHAT' is no effect"), "{why}");
    assert_eq!(std::io::Error::from(why).kind(), std::io::ErrorKind::InvalidInput);
}
