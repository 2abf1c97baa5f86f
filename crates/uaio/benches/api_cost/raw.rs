//! The jobs with `uaio::sys`, as a C program does them.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use uaio::AlignedBuf;
use uaio::sys::{self, ContextId, IOCB_CMD_PREAD, IOCB_CMD_PWRITE, IOCB_FLAG_RESFD, IoEvent, Iocb, Timespec};

use super::jobs::{Epoll, Job};
use super::{DEPTH, Side};

struct Raw<'j> {
    job: &'j Job,
    ctx: ContextId,
    buffers: Vec<AlignedBuf>,
    iocbs: Vec<Iocb>,
    free: Vec<usize>,
    events: Vec<IoEvent>,
    bell: Option<(OwnedFd, Epoll)>,
}

pub fn open(job: &Job) -> Box<dyn Side + '_> {
    let mut ctx = 0;
    unsafe { sys::io_setup(DEPTH as u32, &mut ctx) }.unwrap();
    let bell = job.in_loop.then(|| {
        let eventfd = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)) };
        let epoll = Epoll::new(&eventfd);
        (eventfd, epoll)
    });
    Box::new(Raw {
        job,
        ctx,
        buffers: (0..DEPTH).map(|_| AlignedBuf::new(job.len, 4096)).collect(),
        iocbs: vec![Iocb::default(); DEPTH],
        free: (0..DEPTH).collect(),
        events: vec![IoEvent::default(); DEPTH],
        bell,
    })
}

impl Raw<'_> {
    fn submit(&mut self, count: usize) {
        let mut list = [std::ptr::null_mut(); DEPTH];
        for place in &mut list[..count] {
            let index = self.free.pop().unwrap();
            self.iocbs[index] = Iocb {
                data: index as u64,
                opcode: if self.job.write { IOCB_CMD_PWRITE } else { IOCB_CMD_PREAD },
                fildes: self.job.file.as_raw_fd() as u32,
                buf: self.buffers[index].as_mut_ptr() as u64,
                nbytes: self.job.len as u64,
                offset: self.job.offset() as i64,
                flags: if self.bell.is_some() { IOCB_FLAG_RESFD } else { 0 },
                resfd: self.bell.as_ref().map_or(0, |(eventfd, _)| eventfd.as_raw_fd() as u32),
                ..Iocb::default()
            };
            *place = &raw mut self.iocbs[index];
        }
        assert_eq!(unsafe { sys::io_submit(self.ctx, count as isize, list.as_mut_ptr()) }, Ok(count));
    }

    fn reap(&mut self) -> usize {
        let (mut least, mut timeout) = (1, std::ptr::null());
        let now = Timespec::default();
        if let Some((eventfd, epoll)) = &self.bell {
            epoll.wait();
            let mut count = 0u64;
            assert_eq!(unsafe { libc::read(eventfd.as_raw_fd(), (&raw mut count).cast(), 8) }, 8);
            (least, timeout) = (0, &raw const now);
        }
        let most = self.events.len() as isize;
        let got = unsafe { sys::io_getevents(self.ctx, least, most, self.events.as_mut_ptr(), timeout) }.unwrap();
        for event in &self.events[..got] {
            assert_eq!(event.res, self.job.len as i64);
            self.free.push(event.data as usize);
        }
        got
    }
}

impl Side for Raw<'_> {
    fn run(&mut self, requests: usize) {
        let (mut submitted, mut ended) = (0, 0);
        while ended < requests {
            while submitted < requests && self.free.len() >= self.job.next_batch(submitted, requests) {
                let count = self.job.next_batch(submitted, requests);
                self.submit(count);
                submitted += count;
            }
            ended += self.reap();
        }
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        unsafe { sys::io_destroy(self.ctx) }.unwrap();
    }
}
