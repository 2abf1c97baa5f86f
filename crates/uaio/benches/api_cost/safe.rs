//! The jobs with the safe API, with buffers that go back and forth, and with buffers from a pool.

use uaio::{AlignedBuf, BufferPool, Completions, Context, IoBuf, IoBufMut, Operation};

use super::jobs::{Epoll, Job};
use super::{DEPTH, Side};

/// Where buffers are kept while they are not in flight.
trait Store {
    type Buf: IoBuf + IoBufMut + Send + 'static;
    fn take(&mut self) -> Self::Buf;
    fn give_back(&mut self, buffer: Self::Buf);
}

impl Store for Vec<AlignedBuf> {
    type Buf = AlignedBuf;

    fn take(&mut self) -> AlignedBuf {
        self.pop().unwrap()
    }

    fn give_back(&mut self, buffer: AlignedBuf) {
        self.push(buffer);
    }
}

impl Store for BufferPool {
    type Buf = uaio::PoolBuf;

    fn take(&mut self) -> uaio::PoolBuf {
        BufferPool::take(self).unwrap()
    }

    fn give_back(&mut self, buffer: uaio::PoolBuf) {
        drop(buffer);
    }
}

/// Dropped in this order.
struct Safe<'j, S: Store> {
    job: &'j Job,
    store: S,
    done: Completions<S::Buf>,
    epoll: Option<Epoll>,
    context: Context,
}

pub fn owned(job: &Job) -> Box<dyn Side + '_> {
    open(job, (0..DEPTH).map(|_| AlignedBuf::new(job.len, 4096)).collect::<Vec<_>>())
}

pub fn pooled(job: &Job) -> Box<dyn Side + '_> {
    open(job, BufferPool::new(DEPTH, job.len, 4096))
}

fn open<'j, S: Store + 'j>(job: &'j Job, store: S) -> Box<dyn Side + 'j> {
    let builder = Context::builder().capacity(DEPTH as u32);
    let context = if job.in_loop { builder.eventfd() } else { builder }.build().unwrap();
    let epoll = context.eventfd().map(|eventfd| Epoll::new(&eventfd));
    Box::new(Safe { job, store, done: context.completions(), epoll, context })
}

impl<S: Store> Safe<'_, S> {
    fn submit(&mut self, count: usize) {
        let Safe { job, store, done, .. } = self;
        let mut next = || {
            let (buffer, offset) = (store.take(), job.offset());
            if job.write {
                Operation::write(&job.file, buffer, offset)
            } else {
                Operation::read(&job.file, buffer, offset)
            }
        };
        if count == 1 {
            done.submit(next()).unwrap();
        } else {
            assert_eq!(done.submit_all((0..count).map(|_| next())).accepted.len(), count);
        }
    }

    fn reap(&mut self) -> usize {
        let mut ended = 0;
        if let Some(epoll) = &self.epoll {
            epoll.wait();
            self.context.dispatch();
            while let Some(one) = self.done.try_next() {
                assert_eq!(one.result, Ok(self.job.len));
                self.store.give_back(one.buffer);
                ended += 1;
            }
            return ended;
        }
        for one in self.done.next_batch() {
            assert_eq!(one.result, Ok(self.job.len));
            self.store.give_back(one.buffer);
            ended += 1;
        }
        ended
    }
}

impl<S: Store> Side for Safe<'_, S> {
    fn run(&mut self, requests: usize) {
        let (mut submitted, mut ended) = (0, 0);
        while ended < requests {
            while submitted < requests && submitted - ended + self.job.next_batch(submitted, requests) <= DEPTH {
                let count = self.job.next_batch(submitted, requests);
                self.submit(count);
                submitted += count;
            }
            ended += self.reap();
        }
    }
}
