//! io_uring as a program uses it that needs no AIO: one ring, no registered files or buffers.

use io_uring::types::Fd;
use io_uring::{IoUring, opcode, squeue};

use super::super::request::{Op, Request};
use super::{Queue, check};
use crate::failure::Failure;

pub struct Ring {
    ring: IoUring,
    /// By tag.
    requests: Vec<Option<Request>>,
}

impl Ring {
    pub fn new(depth: usize) -> Result<Ring, Failure> {
        let entries = depth.next_power_of_two() as u32;
        let plain = || IoUring::new(entries);
        let ring = IoUring::builder().setup_coop_taskrun().build(entries).or_else(|_| plain());
        let ring = ring.map_err(|e| Failure::plain(format!("io_uring_setup: {e}")))?;
        Ok(Ring { ring, requests: vec![None; depth] })
    }
}

fn entry(request: &Request) -> squeue::Entry {
    let (fd, len) = (Fd(request.fd), request.len as u32);
    let entry = match request.op {
        Op::Read => opcode::Read::new(fd, request.buffer, len).offset(request.offset).build(),
        Op::Write => opcode::Write::new(fd, request.buffer, len).offset(request.offset).build(),
        Op::Fsync => opcode::Fsync::new(fd).build(),
        Op::Poll => opcode::PollAdd::new(fd, libc::POLLIN as u32).build(),
    };
    entry.user_data(request.tag as u64)
}

impl Queue for Ring {
    unsafe fn submit(&mut self, requests: &[Request]) -> Result<(), Failure> {
        for request in requests {
            self.requests[request.tag] = Some(*request);
            // SAFETY: the caller's promise.
            let pushed = unsafe { self.ring.submission().push(&entry(request)) };
            pushed.map_err(|_| Failure::plain("more requests than the queue was made for"))?;
        }
        self.ring.submit().map(drop).map_err(|e| Failure::plain(format!("io_uring_enter: {e}")))
    }

    fn reap(&mut self, min: usize, done: &mut Vec<usize>) -> Result<(), Failure> {
        if self.ring.completion().len() < min {
            let waited = self.ring.submit_and_wait(min);
            waited.map_err(|e| Failure::plain(format!("io_uring_enter: {e}")))?;
        }
        for completion in self.ring.completion() {
            let tag = completion.user_data() as usize;
            let request = self.requests.get(tag).copied().flatten();
            let request = request.ok_or_else(|| Failure::plain("a completion that nobody asked for"))?;
            check(&request, completion.result().into())?;
            done.push(tag);
        }
        Ok(())
    }
}
