//! At most two allocations per operation, and none with the pool: counted, in the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use uaio::{BufferPool, Context, Engine, Operation};

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

// SAFETY: as `System`, which does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's call.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's call.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: u64 = 1000;

/// Allocations of `rounds` calls of `body`, after as many for which nothing is counted.
fn count(rounds: u64, mut body: impl FnMut()) -> u64 {
    (0..rounds).for_each(|_| body());
    let before = COUNT.load(Ordering::Relaxed);
    (0..rounds).for_each(|_| body());
    COUNT.load(Ordering::Relaxed) - before
}

/// Not a `#[test]` for each: nothing else may run meanwhile.
#[test]
fn allocations_are_few() {
    for engine in [Engine::Inline, Engine::Uring, Engine::Threads] {
        let Ok(context) = Context::builder().capacity(32).engine(engine).build() else { continue };
        let file = tempfile::tempfile_in("/var/tmp").unwrap();
        file.set_len(1 << 20).unwrap();
        let pool = BufferPool::new(32, 4096, 4096);
        let pooled = count(ROUNDS, || {
            let read = Operation::read(&file, pool.take().unwrap(), 4096);
            assert!(context.submit(read).unwrap().wait().result.is_ok());
        });
        assert_eq!(pooled, 0, "{engine:?}: reads into pool buffers");
        let mut done = context.completions();
        let queued = count(ROUNDS, || {
            for i in 0..8 {
                done.push(context.submit(Operation::write(&file, pool.take().unwrap(), i * 4096)).unwrap());
            }
            assert!(done.by_ref().all(|one| one.result == Ok(4096)));
        });
        assert_eq!(queued, 0, "{engine:?}: writes from pool buffers, in completion order");
        let batches = count(100, || {
            let write = |i: u64| Operation::write(&file, pool.take().unwrap(), i * 4096);
            assert_eq!(done.submit_all((0..16).map(write)).accepted.len(), 16);
            assert!(done.by_ref().all(|one| one.result == Ok(4096)));
        });
        assert_eq!(batches, 100, "{engine:?}: batches of 16, one for each batch");
        let tickets = count(100, || {
            let read = |i: u64| Operation::read(&file, pool.take().unwrap(), i * 4096);
            let batch = context.submit_all((0..16).map(read)).all().unwrap();
            assert!(batch.into_iter().all(|ticket| ticket.wait().result.is_ok()));
        });
        assert_eq!(tickets, 100, "{engine:?}: as many with tickets");
        let fresh = count(ROUNDS, || {
            assert!(context.submit(Operation::write(&file, vec![0u8; 512], 0)).unwrap().wait().result.is_ok());
        });
        assert_eq!(fresh, ROUNDS, "{engine:?}: one for the Vec itself, none for the operation");
        let large = count(ROUNDS, || {
            let parts = vec![vec![1u8; 10], vec![2u8; 10]];
            assert!(context.submit(Operation::write_vectored(&file, parts, 0)).unwrap().wait().result.is_ok());
        });
        assert_eq!(large, 3 * ROUNDS, "{engine:?}: the three Vecs, none for the operation");
        handed_over(engine, &context);
        if engine != Engine::Inline {
            waiting(engine, &context);
        }
    }
}

/// What a library thread executes: reads and overwrites with `O_DIRECT`.
fn handed_over(engine: Engine, context: &Context) {
    use std::os::unix::fs::OpenOptionsExt;
    let place = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    std::fs::write(place.path(), vec![1u8; 65536]).unwrap();
    let Ok(file) = std::fs::File::options().read(true).write(true).custom_flags(libc::O_DIRECT).open(place.path())
    else {
        return;
    };
    file.sync_all().unwrap();
    let pool = BufferPool::new(32, 4096, 4096);
    let mut done = context.completions();
    let direct = count(100, || {
        for i in 0..4 {
            done.push(context.submit(Operation::read(&file, pool.take().unwrap(), i * 4096)).unwrap());
            done.push(context.submit(Operation::write(&file, pool.take().unwrap(), (8 + i) * 4096)).unwrap());
        }
        assert!(done.by_ref().all(|one| one.result == Ok(4096)));
    });
    // 800 operations; a list that grows and a worker that starts are allowed.
    assert!(direct < 16, "{engine:?}: {direct}: direct reads and writes with pool buffers");
}

/// Pipes that are empty at submit.
fn waiting(engine: Engine, context: &Context) {
    use std::io::Write;
    let (r, mut w) = std::io::pipe().unwrap();
    let r = std::os::fd::OwnedFd::from(r);
    let pool = BufferPool::new(1, 4096, 4096);
    let waited = count(ROUNDS, || {
        let ticket = context.submit(Operation::read(&r, pool.take().unwrap(), 0)).unwrap();
        w.write_all(b"x").unwrap();
        assert!(ticket.wait().result.is_ok());
    });
    // A list that grows is allowed.
    assert!(waited <= 16, "{engine:?}: {waited}");
}
