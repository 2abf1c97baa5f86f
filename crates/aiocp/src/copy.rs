//! The copy: every piece is read, then written, many pieces at a time.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use crate::aio::{Buffers, Context, Event, Iocb, PREAD, PWRITE};
use crate::files::Files;

/// How often an io_submit is repeated that is refused while nothing is in flight, one millisecond apart.
const RETRIES: u32 = 5000;

/// One piece on its way. It owns the buffer of the same index.
#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u64,
    len: usize,
    /// Bytes that the current direction has moved.
    done: usize,
    opcode: u16,
}

/// A copy in progress.
#[derive(Debug)]
pub struct Copy<'a> {
    context: &'a Context,
    fds: [u32; 2],
    size: u64,
    block: usize,
    /// Where the next piece starts.
    next: u64,
    written: u64,
    pieces: Vec<Piece>,
    iocbs: Vec<Iocb>,
    buffers: Buffers,
    /// Pieces whose request waits to be submitted.
    waiting: VecDeque<usize>,
    in_flight: usize,
}

impl<'a> Copy<'a> {
    /// Copies `size` bytes in pieces of `block` bytes, up to `depth` at a time.
    pub fn new(context: &'a Context, files: &'a Files, size: u64, depth: usize, block: usize) -> Copy<'a> {
        let depth = depth.min(size.div_ceil(block as u64) as usize).max(1);
        let empty = Piece { offset: 0, len: 0, done: 0, opcode: PREAD };
        Copy {
            context,
            fds: [files.source.as_raw_fd() as u32, files.copy.as_raw_fd() as u32],
            size,
            block,
            next: 0,
            written: 0,
            pieces: vec![empty; depth],
            iocbs: vec![Iocb::default(); depth],
            buffers: Buffers::new(depth, block),
            waiting: VecDeque::with_capacity(depth),
            in_flight: 0,
        }
    }

    /// Does it all. On failure it still waits for what is in flight, for that uses the buffers.
    pub fn run(mut self, progress: impl Fn(u64)) -> Result<(), String> {
        let result = self.work(progress);
        while self.in_flight > 0 {
            if self.reap(|_, _| Ok(())).is_err() {
                // Requests may still use the buffers.
                std::mem::forget(self);
                break;
            }
        }
        result
    }

    fn work(&mut self, progress: impl Fn(u64)) -> Result<(), String> {
        for index in 0..self.pieces.len() {
            self.start_next(index);
        }
        while self.written < self.size {
            self.submit()?;
            self.reap(Self::advance)?;
            progress(self.written);
        }
        Ok(())
    }

    /// Gives the buffer `index` the next piece, if there is one.
    fn start_next(&mut self, index: usize) {
        let len = (self.block as u64).min(self.size - self.next) as usize;
        if len > 0 {
            self.pieces[index] = Piece { offset: self.next, len, done: 0, opcode: PREAD };
            self.next += len as u64;
            self.waiting.push_back(index);
        }
    }

    /// Submits what waits. What is not accepted now stays for the next time.
    fn submit(&mut self) -> Result<(), String> {
        let mut refused = 0;
        while !self.waiting.is_empty() {
            match self.submit_once() {
                Ok(0) => return Err("io_submit accepts nothing".into()),
                Ok(accepted) => {
                    self.waiting.drain(..accepted);
                    self.in_flight += accepted;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                Err(e) if e.raw_os_error() == Some(libc::EAGAIN) && self.in_flight > 0 => return Ok(()),
                Err(e) if e.raw_os_error() == Some(libc::EAGAIN) && refused < RETRIES => {
                    refused += 1;
                    thread::sleep(Duration::from_millis(1));
                }
                Err(e) => return Err(format!("io_submit: {e}")),
            }
        }
        Ok(())
    }

    fn submit_once(&mut self) -> io::Result<usize> {
        for index in self.waiting.iter().copied() {
            self.iocbs[index] = self.iocb(index);
        }
        let first = self.iocbs.as_mut_ptr();
        // SAFETY: every index is below `iocbs.len()`.
        let batch: Vec<_> = self.waiting.iter().map(|index| unsafe { first.add(*index) }).collect();
        // SAFETY: a buffer belongs to its piece, which has one request at a time; `run` waits for all of them.
        unsafe { self.context.submit(&batch) }
    }

    fn iocb(&self, index: usize) -> Iocb {
        let piece = &self.pieces[index];
        Iocb {
            data: index as u64,
            opcode: piece.opcode,
            fd: self.fds[usize::from(piece.opcode)],
            buf: self.buffers.address(index) + piece.done as u64,
            nbytes: (piece.len - piece.done) as u64,
            offset: (piece.offset + piece.done as u64) as i64,
            ..Iocb::default()
        }
    }

    /// Waits for events and gives each to `handle`. All are taken, also when one of them is bad.
    fn reap(&mut self, handle: fn(&mut Self, &Event) -> Result<(), String>) -> Result<(), String> {
        let mut events = vec![Event::default(); self.in_flight];
        let got = loop {
            match self.context.wait(&mut events) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                other => break other.map_err(|e| format!("io_getevents: {e}"))?,
            }
        };
        self.in_flight -= got.len();
        let mut result = Ok(());
        for event in got {
            result = result.and(handle(self, event));
        }
        result
    }

    /// What a completed request leads to: its rest, the write after the read, or the next piece.
    fn advance(&mut self, event: &Event) -> Result<(), String> {
        let index = event.data as usize;
        let piece = &mut self.pieces[index];
        let what = if piece.opcode == PREAD { "reading" } else { "writing" };
        let at = piece.offset + piece.done as u64;
        match event.res {
            ..0 => return Err(format!("{what} at {at}: {}", io::Error::from_raw_os_error(-event.res as i32))),
            0 => return Err(format!("{what} at {at}: the file ends here")),
            moved => piece.done += moved as usize,
        }
        if piece.done < piece.len {
            self.waiting.push_back(index);
        } else if piece.opcode == PREAD {
            (piece.opcode, piece.done) = (PWRITE, 0);
            self.waiting.push_back(index);
        } else {
            self.written += piece.len as u64;
            self.start_next(index);
        }
        Ok(())
    }
}
