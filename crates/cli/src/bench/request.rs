//! One request, whoever carries it out.

use uaio::abi::{IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PWRITE, IOCB_FLAG_RESFD, Iocb};

use super::ground::BLOCK;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Read,
    Write,
    Fsync,
    /// For POLLIN.
    Poll,
}

/// A request. Whoever makes one keeps its file open and its buffer alive and alone until it has completed.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Which of the requests in flight it is, from 0.
    pub tag: usize,
    pub op: Op,
    pub fd: i32,
    pub buffer: *mut u8,
    /// Bytes.
    pub len: usize,
    pub offset: u64,
}

impl Request {
    /// As io_submit takes it.
    pub fn iocb(&self, resfd: Option<i32>) -> Iocb {
        let common = Iocb {
            data: self.tag as u64,
            fildes: self.fd as u32,
            flags: if resfd.is_some() { IOCB_FLAG_RESFD } else { 0 },
            resfd: resfd.unwrap_or(0) as u32,
            ..Iocb::default()
        };
        let moved =
            Iocb { buf: self.buffer as u64, nbytes: self.len as u64, offset: self.offset as i64, ..common };
        match self.op {
            Op::Read => Iocb { opcode: IOCB_CMD_PREAD, ..moved },
            Op::Write => Iocb { opcode: IOCB_CMD_PWRITE, ..moved },
            Op::Fsync => Iocb { opcode: IOCB_CMD_FSYNC, ..common },
            Op::Poll => Iocb { opcode: IOCB_CMD_POLL, buf: libc::POLLIN as u64, ..common },
        }
    }

    /// What a good completion says.
    pub fn expected(&self) -> i64 {
        match self.op {
            Op::Read | Op::Write => self.len as i64,
            Op::Fsync => 0,
            Op::Poll => i64::from(libc::POLLIN),
        }
    }
}

/// A buffer that O_DIRECT takes.
#[derive(Clone)]
#[repr(C, align(4096))]
struct Page([u8; BLOCK]);

/// Buffers, one block each.
pub struct Buffers(Vec<Page>);

impl Buffers {
    pub fn new(count: usize) -> Buffers {
        Buffers(vec![Page([0x5a; BLOCK]); count])
    }

    /// Buffer number `i`.
    pub fn at(&mut self, i: usize) -> *mut u8 {
        self.0[i].0.as_mut_ptr()
    }
}
