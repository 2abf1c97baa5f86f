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

    /// What a good completion says, if `result` is not good.
    pub fn misses(&self, result: i64) -> Option<i64> {
        let expected = match self.op {
            Op::Read | Op::Write => self.len as i64,
            Op::Fsync => 0,
            // The kernel's AIO may report more than was asked for.
            Op::Poll if result > 0 && result & i64::from(libc::POLLIN) != 0 => result,
            Op::Poll => i64::from(libc::POLLIN),
        };
        (result != expected).then_some(expected)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_completions() {
        let of = |op| Request { tag: 0, op, fd: 0, buffer: std::ptr::null_mut(), len: 512, offset: 0 };
        assert_eq!([512, 100, -5].map(|res| of(Op::Read).misses(res)), [None, Some(512), Some(512)]);
        assert_eq!([1, 0x41, 0, -125].map(|res| of(Op::Poll).misses(res).is_none()), [true, true, false, false]);
        assert_eq!(of(Op::Fsync).misses(0), None);
    }
}
