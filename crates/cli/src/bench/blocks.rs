//! Reads and writes of random blocks of a file.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::ground::BLOCK;
use super::load::Source;
use super::request::{Buffers, Op, Request};
use crate::failure::Failure;

/// One block each, anywhere in the file.
pub struct RandomBlocks {
    op: Op,
    file: File,
    blocks: u64,
    buffers: Buffers,
    /// The page cache is emptied of the file before each sample.
    cold: bool,
}

impl RandomBlocks {
    pub fn new(op: Op, file: File, blocks: u64, depth: usize) -> RandomBlocks {
        // No read-ahead: it would make some of the next blocks warm. Devices refuse the advice and need none.
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM);
        RandomBlocks { op, file, blocks, buffers: Buffers::new(depth), cold: false }
    }

    pub fn cold(mut self) -> RandomBlocks {
        self.cold = true;
        self
    }
}

impl Source for RandomBlocks {
    fn next(&mut self, tag: usize) -> Result<Request, Failure> {
        let offset = fastrand::u64(..self.blocks) * BLOCK as u64;
        let fd = self.file.as_raw_fd();
        Ok(Request { tag, op: self.op, fd, buffer: self.buffers.at(tag), len: BLOCK, offset })
    }

    fn rest(&mut self) -> Result<(), Failure> {
        if self.cold {
            posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(Failure::plain)?;
        }
        Ok(())
    }
}
