//! Batches of iocbs.

use fastrand::Rng;

use super::{bad, weighted};
use crate::plan::{Buf, Data, Entry, Req};
use crate::world::fds::{ALL, Fd};
use uaio::abi::*;

/// What a sequence mostly works on: a few descriptors, so that requests meet.
pub(super) struct Requests {
    usual: Vec<Fd>,
}

/// In one of two requests something is wrong or odd.
const ODD: u32 = 3;

impl Requests {
    pub(super) fn new(rng: &mut Rng) -> Requests {
        let count = rng.usize(2..6);
        let usual = (0..count).map(|_| ALL[rng.usize(..ALL.len() - 2)]).collect();
        Requests { usual }
    }

    pub(super) fn usual(&self, rng: &mut Rng) -> Fd {
        self.usual[rng.usize(..self.usual.len())]
    }

    pub(super) fn batch(&self, rng: &mut Rng) -> Vec<Entry> {
        let count = weighted(rng, &[(6, 1), (3, 2), (3, 4), (1, 8)]);
        (0..count)
            .map(|_| match rng.u32(..30) {
                0 => Entry::Again,
                1 => Entry::Bad(bad(rng)),
                _ => Entry::Req(self.request(rng)),
            })
            .collect()
    }

    fn fd(&self, rng: &mut Rng) -> Fd {
        match rng.u32(..10) {
            0 => ALL[rng.usize(..ALL.len())],
            1 => [Fd::ARdWr, Fd::BDirect, Fd::BBuffered, Fd::Null][rng.usize(..4)],
            _ => self.usual(rng),
        }
    }

    fn request(&self, rng: &mut Rng) -> Req {
        let fd = self.fd(rng);
        let op = weighted(
            rng,
            &[
                (6, IOCB_CMD_PREAD),
                (6, IOCB_CMD_PWRITE),
                (3, IOCB_CMD_PREADV),
                (3, IOCB_CMD_PWRITEV),
                (1, IOCB_CMD_FSYNC),
                (1, IOCB_CMD_FDSYNC),
                (if fd.stream() { 6 } else { 1 }, IOCB_CMD_POLL),
            ],
        );
        let mut req = match op {
            IOCB_CMD_POLL => Req { data: Data::Number(poll_mask(rng)), ..Req::nothing() },
            IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC => Req { data: Data::Number(0), ..Req::nothing() },
            IOCB_CMD_PREADV | IOCB_CMD_PWRITEV => vectored(rng, fd),
            _ => plain(rng, fd),
        };
        (req.op, req.fd) = (op, fd);
        self.decorate(rng, &mut req);
        while rng.u32(..ODD) == 0 {
            self.make_odd(rng, &mut req);
        }
        req
    }

    /// What is neither wrong nor needed.
    fn decorate(&self, rng: &mut Rng, req: &mut Req) {
        if rng.u32(..4) == 0 {
            req.resfd = Some(if rng.bool() { Fd::ResA } else { Fd::ResB });
        }
        if rng.u32(..6) == 0 {
            req.key = rng.u32(..);
        }
        if rng.u32(..8) == 0 {
            req.prio = rng.i16(..);
        }
        if rng.u32(..8) == 0 && !matches!(req.op, IOCB_CMD_POLL | IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC) {
            let known = [RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, RWF_NOAPPEND, RWF_NOSIGNAL];
            req.rw_flags |= known[rng.usize(..known.len())];
        }
    }

    fn make_odd(&self, rng: &mut Rng, req: &mut Req) {
        match rng.u32(..11) {
            0 => req.op = [4, IOCB_CMD_NOOP, 9, 100, u16::MAX][rng.usize(..5)],
            1 => req.rw_flags |= 1 << (rng.u32(..32) % [9, 32][rng.usize(..2)]),
            2 => req.reserved2 = 1 << rng.u32(..64),
            3 => (req.prio, req.flags) = (priority(rng), req.flags | IOCB_FLAG_IOPRIO),
            4 => req.flags |= 4 << rng.u32(..29),
            5 => req.resfd = Some([Fd::Closed, Fd::Negative, Fd::PipeR, Fd::ARdWr, Fd::Null][rng.usize(..5)]),
            6 => req.offset = odd_offset(rng),
            7 => req.len = Some(odd_length(rng)),
            8 => make_data_odd(rng, req),
            9 => req.fd = ALL[rng.usize(..ALL.len())],
            _ => req.offset = rng.i64(..100),
        }
    }
}

fn poll_mask(rng: &mut Rng) -> u64 {
    let usual = [0x1, 0x4, 0x5, 0x0, 0x2, 0x2001, 0x41, 0x1, 0x10];
    let odd = [0x1_0000, 0x1_0001, 1 << 40, u64::MAX];
    if rng.u32(..12) == 0 { odd[rng.usize(..odd.len())] } else { usual[rng.usize(..usual.len())] }
}

fn priority(rng: &mut Rng) -> i16 {
    let class = rng.u16(..6);
    (class << 13 | [0, 1, 4, 7, 8][rng.usize(..5)]) as i16
}

fn odd_offset(rng: &mut Rng) -> i64 {
    let all =
        [-1, -2, i64::MIN, i64::MAX, i64::MAX - 100, 1 << 46, 1 << 31, 1 << 40, 12345, 20_000, 32_768, 40_960];
    all[rng.usize(..all.len())]
}

fn odd_length(rng: &mut Rng) -> u64 {
    let all =
        [0, 1, 3, 1024, 1025, 0x7fff_f000, 0x7fff_ffff, 1 << 31, 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX];
    all[rng.usize(..all.len())]
}

fn make_data_odd(rng: &mut Rng, req: &mut Req) {
    let place = match rng.u32(..4) {
        0 => Buf::BeforeHole(rng.u16(1..4096)),
        1 => Buf::AtTheEnd,
        2 => Buf::Big,
        _ => Buf::Bad(bad(rng)),
    };
    match &mut req.data {
        Data::At(buf) => *buf = place,
        Data::Number(number) => *number ^= 1 << rng.u32(..64),
        Data::Pieces(pieces) if rng.bool() && !pieces.is_empty() => {
            let which = rng.usize(..pieces.len());
            pieces[which] = if rng.bool() { (place, pieces[which].1) } else { (pieces[which].0, odd_length(rng)) };
        }
        data => {
            *data = match rng.u32(..3) {
                0 => Data::BadArray(bad(rng)),
                _ => Data::Many([0, 8, 9, 100, 1024, 1025][rng.usize(..6)]),
            }
        }
    }
}

/// Position and length that suit the file.
fn extent(rng: &mut Rng, fd: Fd) -> (i64, u64) {
    if fd.direct() {
        return (i64::from(rng.u16(..10)) * 4096, [512, 4096, 4096, 8192][rng.usize(..4)]);
    }
    let len = [0, 1, 8, 100, 512, 4096, 5000, 10_000][rng.usize(..8)];
    let positions = fd.inode().is_some() || matches!(fd, Fd::Null | Fd::Zero | Fd::Full);
    (if positions { i64::from(rng.u16(..24_000)) } else { 0 }, len)
}

fn buffer(rng: &mut Rng, fd: Fd) -> Buf {
    if rng.u32(..30) == 0 {
        return Buf::Big;
    }
    let offset = if fd.direct() { 0 } else { [0, 1, 512, 4000][rng.usize(..4)] };
    Buf::Slot(rng.u8(..10), offset)
}

fn plain(rng: &mut Rng, fd: Fd) -> Req {
    let (offset, len) = extent(rng, fd);
    Req { data: Data::At(buffer(rng, fd)), len: Some(len), offset, ..Req::nothing() }
}

fn vectored(rng: &mut Rng, fd: Fd) -> Req {
    let (offset, len) = extent(rng, fd);
    let count = weighted(rng, &[(4, 2), (2, 1), (2, 3), (1, 9), (1, 10)]);
    let first = rng.u8(..10);
    let piece = if fd.direct() { len } else { len / count as u64 };
    let pieces = (0..count).map(|i| (Buf::Slot(first + i, 0), piece)).collect();
    Req { data: Data::Pieces(pieces), len: None, offset, ..Req::nothing() }
}
