//! aio_read(3), aio_write(3) and aio_fsync(3) of the C library.

use std::io::Error;
use std::ptr;

use super::super::request::{Op, Request};
use super::{Queue, check};
use crate::failure::Failure;

pub struct Posix {
    /// By tag; not moved, for the C library has their addresses.
    blocks: Vec<libc::aiocb>,
    /// By tag; None: not in flight.
    requests: Vec<Option<Request>>,
    waiting: Vec<*const libc::aiocb>,
}

impl Posix {
    pub fn new(depth: usize) -> Posix {
        // SAFETY: an aiocb is integers and pointers: all zero is a value.
        let blocks = (0..depth).map(|_| unsafe { std::mem::zeroed() }).collect();
        Posix { blocks, requests: vec![None; depth], waiting: Vec::with_capacity(depth) }
    }

    /// Sleeps until one of those in flight is done.
    fn suspend(&mut self) {
        self.waiting.clear();
        let in_flight = self.blocks.iter().zip(&self.requests).filter(|(_, request)| request.is_some());
        self.waiting.extend(in_flight.map(|(block, _)| ptr::from_ref(block)));
        // SAFETY: the list names control blocks in flight, which live as long as `self`.
        unsafe { libc::aio_suspend(self.waiting.as_ptr(), self.waiting.len() as i32, ptr::null()) };
    }
}

impl Queue for Posix {
    unsafe fn submit(&mut self, requests: &[Request]) -> Result<(), Failure> {
        for request in requests {
            self.requests[request.tag] = Some(*request);
            let block = &mut self.blocks[request.tag];
            (block.aio_fildes, block.aio_buf, block.aio_nbytes) = (request.fd, request.buffer.cast(), request.len);
            block.aio_offset = request.offset as i64;
            block.aio_sigevent.sigev_notify = libc::SIGEV_NONE;
            // SAFETY: the caller's promise; the control block lives as long as `self`, which outlives the request.
            let result = unsafe {
                match request.op {
                    Op::Read => libc::aio_read(block),
                    Op::Write => libc::aio_write(block),
                    Op::Fsync => libc::aio_fsync(libc::O_SYNC, block),
                    Op::Poll => return Err(Failure::plain("has no such call")),
                }
            };
            if result != 0 {
                return Err(Failure::plain(format!("POSIX AIO: {}", Error::last_os_error())));
            }
        }
        Ok(())
    }

    fn reap(&mut self, min: usize, done: &mut Vec<usize>) -> Result<(), Failure> {
        let enough = done.len() + min;
        loop {
            for (tag, block) in self.blocks.iter_mut().enumerate() {
                let Some(request) = self.requests[tag] else { continue };
                // SAFETY: it was submitted, and its result has not been taken.
                let error = unsafe { libc::aio_error(block) };
                if error == libc::EINPROGRESS {
                    continue;
                }
                // SAFETY: as above; it is done.
                let result = unsafe { libc::aio_return(block) };
                check(&request, if error == 0 { result as i64 } else { -i64::from(error) })?;
                self.requests[tag] = None;
                done.push(tag);
            }
            if done.len() >= enough {
                return Ok(());
            }
            self.suspend();
        }
    }
}
