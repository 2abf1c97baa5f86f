//! The safe API against plain pread and pwrite: random operations on two files, which must stay equal.

use std::fs::File;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use uaio::{Context, Engine, Operation, Ticket};

/// One operation in its own part of the file.
#[derive(Clone, Debug)]
enum Step {
    Write { at: u64, bytes: Vec<u8> },
    WriteVectored { at: u64, parts: Vec<Vec<u8>> },
    Read { at: u64, len: usize },
    ReadVectored { at: u64, lens: Vec<usize> },
    Sync,
}

const PART: u64 = 3000;

fn step() -> impl Strategy<Value = Step> {
    let parts = || prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..14);
    prop_oneof![
        3 => (0..PART / 2, prop::collection::vec(any::<u8>(), 0..1400)).prop_map(|(at, bytes)| Step::Write { at, bytes }),
        2 => (0..PART / 2, parts()).prop_map(|(at, parts)| Step::WriteVectored { at, parts }),
        3 => (0..PART, 0..2000usize).prop_map(|(at, len)| Step::Read { at, len }),
        2 => (0..PART, prop::collection::vec(0..90usize, 1..14)).prop_map(|(at, lens)| Step::ReadVectored { at, lens }),
        1 => Just(Step::Sync),
    ]
}

enum Pending {
    Bytes(Ticket<Vec<u8>>),
    Parts(Ticket<Vec<Vec<u8>>>),
    Nothing(Ticket<()>),
}

fn submit(context: &Context, file: &File, step: &Step, base: u64) -> Pending {
    match step.clone() {
        Step::Write { at, bytes } => {
            Pending::Bytes(context.submit(Operation::write(file, bytes, base + at)).unwrap())
        }
        Step::WriteVectored { at, parts } => {
            Pending::Parts(context.submit(Operation::write_vectored(file, parts, base + at)).unwrap())
        }
        Step::Read { at, len } => {
            let room = vec![0u8; len];
            Pending::Bytes(context.submit(Operation::read(file, room, base + at)).unwrap())
        }
        Step::ReadVectored { at, lens } => {
            let room = lens.iter().map(|len| vec![0u8; *len]).collect();
            Pending::Parts(context.submit(Operation::read_vectored(file, room, base + at)).unwrap())
        }
        Step::Sync => Pending::Nothing(context.submit(Operation::fdatasync(file)).unwrap()),
    }
}

/// Result and content.
fn outcome(pending: Pending) -> (usize, Vec<u8>) {
    match pending {
        Pending::Bytes(ticket) => ticket.wait().ok().unwrap(),
        Pending::Parts(ticket) => {
            let (n, parts) = ticket.wait().ok().unwrap();
            (n, parts.concat())
        }
        Pending::Nothing(ticket) => (ticket.wait().result.unwrap(), Vec::new()),
    }
}

/// What the plain calls make of the same step.
fn plain(file: &File, step: &Step, base: u64) -> (usize, Vec<u8>) {
    let read = |at: u64, len: usize| {
        let mut bytes = vec![0u8; len];
        let n = file.read_at(&mut bytes, base + at).unwrap();
        bytes.truncate(n);
        (n, bytes)
    };
    match step {
        Step::Write { at, bytes } => (file.write_at(bytes, base + at).unwrap(), bytes.clone()),
        Step::WriteVectored { at, parts } => {
            let bytes = parts.concat();
            (file.write_at(&bytes, base + at).unwrap(), bytes)
        }
        Step::Read { at, len } => read(*at, *len),
        Step::ReadVectored { at, lens } => read(*at, lens.iter().sum()),
        Step::Sync => (0, Vec::new()),
    }
}

fn content(file: &File) -> Vec<u8> {
    let mut bytes = vec![0u8; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// The step within one part of the file.
fn inside(step: &Step) -> Step {
    match step.clone() {
        Step::Read { at, len } => Step::Read { at: at / 3, len },
        Step::ReadVectored { at, lens } => Step::ReadVectored { at: at / 2, lens },
        other => other,
    }
}

/// One after the other, on a file that grows; or a batch at once, each step in a part of its own of a file that
/// does not. Half of the time from a cold page cache, so that reads go to the engine.
fn compare(engine: Engine, steps: &[Step], at_once: bool, cold: bool) {
    let Ok(context) = Context::builder().capacity(32).engine(engine).build() else { return };
    let files = [(); 2].map(|()| tempfile::tempfile_in("/var/tmp").unwrap());
    if at_once {
        files.iter().for_each(|file| file.set_len(PART * 33).unwrap());
    }
    for batch in steps.chunks(if at_once { 32 } else { 1 }) {
        if cold {
            files[0].sync_all().unwrap();
            use std::os::fd::AsRawFd;
            // SAFETY: takes no pointers.
            unsafe { libc::posix_fadvise(files[0].as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        }
        let batch: Vec<Step> =
            batch.iter().map(|step| if at_once { inside(step) } else { step.clone() }).collect();
        let base = |i: usize| i as u64 * PART;
        let pending: Vec<Pending> =
            batch.iter().enumerate().map(|(i, step)| submit(&context, &files[0], step, base(i))).collect();
        let got: Vec<_> = pending.into_iter().map(outcome).collect();
        let want: Vec<_> = batch.iter().enumerate().map(|(i, step)| plain(&files[1], step, base(i))).collect();
        assert_eq!(got, want, "{engine:?}: {batch:?}");
    }
    assert!(content(&files[0]) == content(&files[1]), "{engine:?}: {steps:?}");
}

fn check(engine: Engine) {
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let steps = (prop::collection::vec(step(), 1..70), any::<bool>(), prop::bool::weighted(0.3));
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner
        .run(&steps, |(steps, at_once, cold)| {
            compare(engine, &steps, at_once, cold);
            Ok(())
        })
        .unwrap();
}

#[test]
fn inline_is_pread_and_pwrite() {
    check(Engine::Inline);
}

#[test]
fn uring_is_pread_and_pwrite() {
    check(Engine::Uring);
}

#[test]
fn threads_is_pread_and_pwrite() {
    check(Engine::Threads);
}
