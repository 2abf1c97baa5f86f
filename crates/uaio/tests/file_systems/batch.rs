//! Requests that may be in flight together, with what has to come of each.

use uaio::abi::*;

use crate::common::{Page, rw};
use crate::job::{LONGEST, sync};
use crate::model::Model;

const PAGE: usize = size_of::<Page>();
/// Most pages of a request, and one for a start inside a page.
const PAGES: usize = 16;
/// Most pieces of a vector: more than a slot of ours holds.
const PIECES: usize = 12;
/// What a buffer holds where nothing was read.
const UNTOUCHED: u8 = 0xEE;

/// How the requests of a batch reach the file.
#[derive(Clone, Copy)]
pub struct Style {
    pub fd: i32,
    pub direct: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Sync,
}

struct Request {
    kind: Kind,
    offset: usize,
    len: usize,
    flags: u32,
    pages: Vec<Page>,
    /// Where the data begin in the pages.
    start: usize,
    pieces: Vec<Iovec>,
    /// What a read has to bring.
    expected: Vec<u8>,
    done: bool,
}

pub struct Batch {
    style: Style,
    requests: Vec<Request>,
}

impl Batch {
    /// Up to `most` requests, performed on the model in their order.
    pub fn new(style: Style, rng: &mut fastrand::Rng, model: &mut Model, most: usize) -> Batch {
        let mut batch = Batch { style, requests: Vec::new() };
        for _ in 0..rng.usize(1..=most) {
            let request = Request::random(style, rng, model);
            let extends = request.extends(model);
            if !batch.requests.is_empty() && style.direct && (extends || batch.meets(&request)) {
                continue;
            }
            batch.requests.push(request.on_model(model, rng));
            // The kernel says nothing about the order of O_DIRECT requests: what changes the length goes alone.
            if style.direct && extends {
                break;
            }
        }
        batch
    }

    /// Whether the result would depend on an order.
    fn meets(&self, new: &Request) -> bool {
        let writes = |r: &Request| r.kind == Kind::Write;
        self.requests.iter().any(|old| (writes(old) || writes(new)) && old.overlaps(new))
    }

    pub fn iocbs(&mut self) -> Vec<Iocb> {
        let fd = self.style.fd;
        self.requests.iter_mut().enumerate().map(|(i, request)| request.iocb(fd, i as u64)).collect()
    }

    /// The event of request `index` brought `res`.
    pub fn check(&mut self, index: usize, res: i64, what: &str) {
        let request = &mut self.requests[index];
        let what = format!("{what}, request {index}: {:?} {} at {}", request.kind, request.len, request.offset);
        assert!(!std::mem::replace(&mut request.done, true), "{what}: a second event");
        let expected = match request.kind {
            Kind::Read => request.expected.len(),
            Kind::Write => request.len,
            Kind::Sync => 0,
        };
        assert_eq!(res, expected as i64, "{what}");
        if request.kind == Kind::Read {
            let bytes = std::mem::take(&mut request.expected);
            let (data, rest) = request.data().split_at(bytes.len());
            let differs = data.iter().zip(&bytes).position(|(is, should)| is != should);
            assert_eq!(differs, None, "{what}: the data differ from here on");
            // O_DIRECT may bring the rest of the file's last block.
            assert!(self.style.direct || rest.iter().all(|b| *b == UNTOUCHED), "{what}: more than was read");
        }
    }
}

impl Request {
    fn random(style: Style, rng: &mut fastrand::Rng, model: &Model) -> Request {
        let kind = match rng.u8(..20) {
            0 => Kind::Sync,
            1..10 => Kind::Write,
            _ => Kind::Read,
        };
        let unit = if style.direct { PAGE } else { 1 };
        let len = rng.usize(1..=PAGES * PAGE / unit) * unit;
        // A device does not grow.
        let last = if model.is_device { model.len() - PAGES * PAGE } else { LONGEST - len };
        let offset = rng.usize(..=last / unit) * unit;
        let start = if style.direct { 0 } else { rng.usize(..PAGE) };
        let flags = if kind == Kind::Write && rng.u8(..10) == 0 { RWF_DSYNC } else { 0 };
        let pages = (0..=PAGES).map(|_| Page([UNTOUCHED; PAGE])).collect();
        let mut request = Request {
            kind,
            offset,
            len,
            flags,
            pages,
            start,
            pieces: Vec::new(),
            expected: Vec::new(),
            done: false,
        };
        if rng.bool() {
            request.split(rng, unit);
        }
        request
    }

    /// Makes it a vectored one.
    fn split(&mut self, rng: &mut fastrand::Rng, unit: usize) {
        let mut cuts: Vec<usize> =
            (1..rng.usize(1..=PIECES)).map(|_| rng.usize(..=self.len / unit) * unit).collect();
        cuts.extend([0, self.len]);
        cuts.sort_unstable();
        let base = self.data().as_ptr() as usize;
        self.pieces = cuts.windows(2).map(|w| Iovec { base: base + w[0], len: w[1] - w[0] }).collect();
    }

    fn data(&mut self) -> &mut [u8] {
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(self.pages.as_mut_ptr().cast(), self.pages.len() * PAGE) };
        &mut bytes[self.start..self.start + self.len]
    }

    fn extends(&self, model: &Model) -> bool {
        self.kind == Kind::Write && self.offset + self.len > model.len()
    }

    fn overlaps(&self, other: &Request) -> bool {
        let syncs = self.kind == Kind::Sync || other.kind == Kind::Sync;
        !syncs && self.offset < other.offset + other.len && other.offset < self.offset + self.len
    }

    /// Performs it on the model.
    fn on_model(mut self, model: &mut Model, rng: &mut fastrand::Rng) -> Request {
        match self.kind {
            Kind::Read => self.expected = model.read(self.offset, self.len).to_vec(),
            Kind::Write => {
                rng.fill(self.data());
                let offset = self.offset;
                model.write(offset, self.data());
            }
            Kind::Sync => {}
        }
        self
    }

    fn iocb(&mut self, fd: i32, data: u64) -> Iocb {
        let (flat, vector) = match self.kind {
            Kind::Read => (IOCB_CMD_PREAD, IOCB_CMD_PREADV),
            Kind::Write => (IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV),
            Kind::Sync => return sync(fd, self.len.is_multiple_of(2), data),
        };
        let offset = self.offset as i64;
        let iocb = if self.pieces.is_empty() {
            rw(flat, fd, self.data().as_mut_ptr(), self.len, offset, data)
        } else {
            rw(vector, fd, self.pieces.as_mut_ptr().cast(), self.pieces.len(), offset, data)
        };
        Iocb { rw_flags: self.flags, ..iocb }
    }
}
