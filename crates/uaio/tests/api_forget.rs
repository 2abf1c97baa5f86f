//! Forgetting any value, in any state, is sound: what is in flight is leaked, and memory that is used again is never
//! touched. Meant for AddressSanitizer too.

use std::future::Future;
use std::io::Write;
use std::mem::forget;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context as Task, Waker};
use std::time::Duration;

use uaio::{BufferPool, Context, Engine, Operation, Readiness};

/// Memory of the sizes that were forgotten, filled, so that a late write into it is seen.
fn traps() -> Vec<Vec<u8>> {
    (0..200).map(|i| vec![0xa5; [16, 64, 4096][i % 3]]).collect()
}

#[test]
fn everything_can_be_forgotten() {
    for engine in [Engine::Inline, Engine::Uring, Engine::Threads] {
        let Ok(context) = Context::builder().capacity(64).engine(engine).build() else { continue };
        let file = tempfile::tempfile_in("/var/tmp").unwrap();
        let pool = BufferPool::new(4, 4096, 4096);
        forget(context.submit(Operation::write(&file, vec![1u8; 4096], 0)).unwrap());
        forget(context.submit(Operation::read(&file, pool.take().unwrap(), 0)).unwrap());
        forget(context.submit(Operation::read(&file, vec![0u8; 16], u64::MAX)).unwrap_err());
        forget(context.submit(Operation::read(&file, vec![0u8; 16], 0)).unwrap().wait());
        forget(context.submit_all((0..3).map(|i| Operation::read(&file, vec![0u8; 64], i))));
        forget(Operation::read(&file, vec![0u8; 64], 0));
        if engine != Engine::Inline {
            forget_what_waits(&context);
        }
        // The context still works, and then it is forgotten too.
        assert!(context.submit(Operation::fsync(&file)).unwrap().wait().result.is_ok());
        forget((pool, context));
    }
}

fn forget_what_waits(context: &Context) {
    let (r, mut w) = std::io::pipe().unwrap();
    let r = OwnedFd::from(r);
    let read = |n: usize| context.submit(Operation::read(&r, vec![0u8; n], 0)).unwrap();
    forget(read(16));
    let mut polled = read(64);
    assert!(Pin::new(&mut polled).poll(&mut Task::from_waker(Waker::noop())).is_pending());
    forget(polled);
    drop(read(4096));
    let mut done = context.completions();
    done.extend([read(16), read(64), read(4096)]);
    forget(done);
    forget(read(16).wait_timeout(Duration::from_millis(1)));
    forget(context.submit(Operation::poll(&r, Readiness::HUP)).unwrap());
    let traps = traps();
    forget_in_a_scope(context, &r, &mut w);
    drop(w);
    std::thread::sleep(Duration::from_millis(20));
    context.dispatch();
    assert!(traps.iter().flatten().all(|byte| *byte == 0xa5));
}

fn forget_in_a_scope(context: &Context, r: &OwnedFd, w: &mut impl Write) {
    let mut borrowed = [0u8; 8];
    context.scope(|scope| {
        forget(scope.submit(Operation::read(r, &mut borrowed[..], 0)).unwrap());
        // Enough for this read, for which the scope waits, and for all before it; less than the pipe takes.
        w.write_all(&[0xee; 4 * 4096]).unwrap();
    });
    assert_eq!(borrowed, [0xee; 8]);
}

#[test]
fn a_forgotten_end_is_harmless() {
    let context = Context::new(4).unwrap();
    let (r, w) = std::io::pipe().unwrap();
    let r = OwnedFd::from(r);
    let ticket = context.submit(Operation::read(&r, vec![0u8; 16], 0)).unwrap();
    forget(context.close());
    drop(w);
    assert_eq!(ticket.wait().result, Ok(0));
}
