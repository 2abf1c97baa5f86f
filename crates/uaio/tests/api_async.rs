//! Tasks, with no runtime but the few lines here.

use std::future::Future;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use uaio::{Context, Engine, Errno, Operation, Readiness};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Task::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn contexts() -> impl Iterator<Item = Context> {
    [Engine::Uring, Engine::Threads].into_iter().filter_map(|e| Context::builder().engine(e).build().ok())
}

fn write_later(after_ms: u64) -> (std::fs::File, std::thread::JoinHandle<()>) {
    let (r, mut w) = std::io::pipe().unwrap();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(after_ms));
        w.write_all(b"woken").unwrap();
    });
    (OwnedFd::from(r).into(), writer)
}

#[test]
fn tickets_are_futures() {
    for context in contexts() {
        for _ in 0..3 {
            let (r, writer) = write_later(10);
            let ticket = context.submit(Operation::read(&r, vec![0u8; 8], 0)).unwrap();
            assert_eq!(block_on(ticket).ok().unwrap(), (5, b"woken".to_vec()));
            writer.join().unwrap();
        }
        let file = tempfile::tempfile_in("/var/tmp").unwrap();
        let written = block_on(async {
            let mut total = 0;
            for block in 0..100 {
                total += context.submit(Operation::write(&file, vec![1u8; 64], block * 64))?.await.ok()?.0;
            }
            context.submit(Operation::fsync(&file))?.await.result?;
            Ok::<usize, std::io::Error>(total)
        });
        assert_eq!(written.unwrap(), 6400);
    }
}

#[test]
fn a_task_and_a_thread_wait_side_by_side() {
    for context in contexts() {
        let ((a, first), (b, second)) = (write_later(20), write_later(40));
        let in_task = context.submit(Operation::read(&a, vec![0u8; 8], 0)).unwrap();
        let on_thread = context.submit(Operation::read(&b, vec![0u8; 8], 0)).unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| assert_eq!(on_thread.wait().result, Ok(5)));
            threads.spawn(|| assert_eq!(block_on(in_task).result, Ok(5)));
        });
        first.join().unwrap();
        second.join().unwrap();
    }
}

#[test]
fn a_dropped_future_detaches() {
    for context in contexts() {
        let (r, _w) = std::io::pipe().unwrap();
        let r = OwnedFd::from(r);
        let mut ticket = context.submit(Operation::read(&r, vec![0u8; 8], 0)).unwrap();
        let mut task = Task::from_waker(Waker::noop());
        assert!(std::pin::Pin::new(&mut ticket).poll(&mut task).is_pending());
        drop(ticket);
        assert_eq!(context.in_flight(), 1);
    }
}

#[test]
fn closing_is_a_future() {
    for context in contexts() {
        let (r, _w) = std::io::pipe().unwrap();
        let r = OwnedFd::from(r);
        let poll = context.submit(Operation::poll(&r, Readiness::IN)).unwrap();
        let read = context.submit(Operation::read(&r, vec![0u8; 8], 0)).unwrap();
        let ended = block_on(context.close());
        assert_eq!(ended.len(), 2);
        assert_eq!(block_on(poll).result, Ok(0));
        assert_eq!(block_on(read).result, Err(Errno::ECANCELED));
    }
}

#[cfg(feature = "stream")]
#[test]
fn completions_are_a_stream() {
    use futures_core::Stream;
    use std::future::poll_fn;
    use std::pin::Pin;
    for context in contexts() {
        let (pipes, writers): (Vec<_>, Vec<_>) = (0..4).map(|i| write_later(10 + i * 5)).unzip();
        let mut done = context.completions();
        done.extend(pipes.iter().map(|r| context.submit(Operation::read(r, vec![0u8; 8], 0)).unwrap()));
        let mut count = 0;
        while let Some(one) = block_on(poll_fn(|task| Pin::new(&mut done).poll_next(task))) {
            assert_eq!(one.buffer, b"woken");
            count += 1;
        }
        assert_eq!(count, 4);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    }
}
