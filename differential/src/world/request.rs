//! One iocb of a batch: written to memory, unless its outcome is open.

use uaio::abi::*;

use super::World;
use super::context::{Pending, Waiting};
use super::fds::Fd;
use super::memory::{BEFORE_HOLE, BIG, BUFFERS};
use super::streams::End;
use super::submit::{Prepared, reads, same_pair, writes};
use crate::differences;
use crate::plan::{Buf, Data, Req};
use crate::sys;

fn buffer_of(buf: Buf) -> Option<usize> {
    match buf {
        Buf::Slot(i, _) => Some(i as usize % BUFFERS),
        Buf::Big => Some(BIG),
        Buf::BeforeHole(_) => Some(BEFORE_HOLE),
        Buf::Bad(_) | Buf::AtTheEnd => None,
    }
}

impl World {
    /// Writes an iocb; None when it must not be submitted now.
    pub(super) fn request(&mut self, req: &Req) -> Option<Prepared> {
        let file = self.name(req.fd);
        if self.is_forbidden(req, file) {
            return None;
        }
        let req = &self.tamed(req, file);
        let (buf, len) = self.data(req)?;
        let data = self.next_data;
        self.next_data += 1;
        let resfd = self.resfd(req);
        let iocb = Iocb {
            data,
            key: req.key,
            rw_flags: req.rw_flags,
            opcode: req.op,
            reqprio: req.prio,
            fildes: self.number(req.fd) as u32,
            buf,
            nbytes: len,
            offset: req.offset,
            reserved2: req.reserved2,
            flags: req.flags | resfd.map_or(0, |_| IOCB_FLAG_RESFD),
            resfd: resfd.map_or(0, |fd| self.number(fd) as u32),
        };
        self.next_place += 1;
        let pointer = self.memory.iocb(self.next_place);
        sys::poke(pointer, iocb);
        let touches = self.touches(req, file, len);
        if has_twice(&touches.fills) {
            return None;
        }
        let resfd = resfd.and_then(|fd| self.which_counter(fd));
        let waits = self.waits(req, file, pointer, resfd);
        if waits.is_some() {
            self.masks.insert(data, u64::from(buf as u16));
        }
        let feed = file.is_some_and(|f| self.needs_feeding(f, req, len));
        let simple = matches!(file, Some(Fd::Null | Fd::Zero | Fd::Full | Fd::Memory)) && req.op != IOCB_CMD_POLL;
        let breaks =
            |f: Fd| f.stream() && !matches!(self.end(f), End::Open(_)) || self.limited && f.inode().is_some();
        let signals = writes(req.op) && file.is_some_and(breaks);
        Some(Prepared { pointer, touches, waits, resfd, file, op: req.op, len, feed, simple, signals })
    }

    /// Requests whose result nobody can know, or that would change what the parent of a forked child accounts for.
    fn is_forbidden(&self, req: &Req, file: Option<Fd>) -> bool {
        let Some(file) = file else { return false };
        let transfer = reads(req.op) || writes(req.op);
        if file.stream() && (self.is_child || self.unsteady.contains(&file)) {
            return true;
        }
        // A3: a socket's waker tells of POLLPRI, too, whatever came.
        let socket = matches!(file, Fd::SockA | Fd::SockB | Fd::SockNbA | Fd::SockNbB);
        if socket && matches!(req.data, Data::Number(mask) if mask & 2 != 0) {
            return true;
        }
        // A terminal's other end gets its data from a kernel thread, at some time.
        if file == Fd::Master && transfer {
            return true;
        }
        if matches!(file, Fd::ResA | Fd::ResB) && !writes(req.op) {
            return true;
        }
        let nobody_comes = file.blocking() && self.end(file) == End::Held;
        if file.stream() && transfer && (nobody_comes || self.is_watched(file)) {
            return true;
        }
        if self.limited && differences::may_lack_its_signal(file, writes(req.op)) {
            return true;
        }
        let empty_write = writes(req.op) && (bytes_of(req) == 0 || req.len == Some(0));
        if differences::is_empty_nowait_write(file, req.rw_flags, empty_write) {
            return true;
        }
        req.rw_flags & RWF_NOWAIT != 0 && transfer && self.may_say_eagain(file, writes(req.op))
    }

    fn may_say_eagain(&self, file: Fd, write: bool) -> bool {
        match file.inode() {
            Some(_) if file.direct() => write || self.dirty,
            Some(inode) => !write && self.cold[inode],
            None => false,
        }
    }

    /// A POLL waits on this stream or on its other end.
    fn is_watched(&self, file: Fd) -> bool {
        self.contexts.iter().flat_map(|c| &c.waiting).any(|w| same_pair(w.file, file))
    }

    /// Without what would make files of terabytes, or arrays longer than they are.
    fn tamed(&mut self, req: &Req, file: Option<Fd>) -> Req {
        const FAR: i64 = 1 << 20;
        let mut req = req.clone();
        let inode = file.and_then(Fd::inode);
        if req.rw_flags & RWF_NOWAIT != 0 && inode.is_some() {
            self.settle();
        }
        if req.rw_flags & RWF_DONTCACHE != 0
            && let Some(inode) = inode
        {
            self.cold[inode] = true;
        }
        let on_disk_and_beyond = inode != Some(2) && req.offset >= 1 << 45;
        if writes(req.op)
            && inode.is_some()
            && req.offset > FAR
            && !on_disk_and_beyond
            && req.offset < i64::MAX - FAR
        {
            req.offset = FAR;
        }
        if let Data::Pieces(pieces) = &req.data
            && let Some(len) = req.len
            && len as i64 >= 0
            && len <= 1024
        {
            req.len = Some(len.min(pieces.len() as u64));
        }
        req
    }

    /// `aio_buf` and `aio_nbytes`.
    fn data(&mut self, req: &Req) -> Option<(u64, u64)> {
        let (buf, len) = match &req.data {
            Data::At(buf) => (self.memory.address(*buf), 0),
            Data::Number(number) => (*number as usize, 0),
            Data::Pieces(pieces) => {
                let pieces: Vec<(usize, u64)> =
                    pieces.iter().map(|(buf, len)| (self.memory.address(*buf), *len)).collect();
                (self.memory.iovec_array(&pieces), pieces.len())
            }
            Data::Many(count) => {
                let piece = (self.memory.address(Buf::Slot(0, 0)), 0);
                (self.memory.iovec_array(&vec![piece; *count as usize]), *count as usize)
            }
            Data::BadArray(bad) => (self.memory.bad(*bad, 32), 2),
        };
        Some((buf as u64, req.len.unwrap_or(len as u64)))
    }

    fn resfd(&self, req: &Req) -> Option<Fd> {
        req.resfd.filter(|fd| !self.is_child && !matches!(self.name(*fd), Some(Fd::Count | Fd::CountNb)))
    }

    fn which_counter(&self, fd: Fd) -> Option<usize> {
        match self.name(fd) {
            Some(Fd::ResA) => Some(0),
            Some(Fd::ResB) => Some(1),
            _ => None,
        }
    }

    fn waits(&self, req: &Req, file: Option<Fd>, iocb: usize, resfd: Option<usize>) -> Option<Waiting> {
        let (file, Data::Number(mask)) = (file?, &req.data) else { return None };
        let waits = req.op == IOCB_CMD_POLL && sys::ready(self.number(req.fd), *mask as u16) == 0;
        waits.then_some(Waiting { iocb, file, mask: *mask as u16, resfd })
    }

    fn touches(&self, req: &Req, file: Option<Fd>, len: u64) -> Pending {
        let (read, write) = (reads(req.op), writes(req.op));
        if !read && !write {
            return Pending::default();
        }
        let buffers: Vec<usize> = match &req.data {
            Data::At(buf) => buffer_of(*buf).into_iter().collect(),
            Data::Pieces(pieces) => pieces.iter().filter_map(|(buf, _)| buffer_of(*buf)).collect(),
            _ => Vec::new(),
        };
        let bytes = if matches!(req.data, Data::Pieces(_)) { bytes_of(req) } else { len };
        let file = file.unwrap_or(Fd::Closed);
        let size = file.inode().map_or(0, |_| sys::size(self.number(req.fd)));
        let to_the_end = file.append() && req.rw_flags & RWF_NOAPPEND == 0 || req.rw_flags & RWF_APPEND != 0;
        let appends = write && to_the_end;
        let start = if appends { size } else { req.offset };
        let end = start.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
        Pending {
            inode: file.inode(),
            range: (start, end),
            direct: file.direct(),
            writes: write,
            extends: write && end > size,
            fills: if read { buffers.clone() } else { Vec::new() },
            takes: if write { buffers } else { Vec::new() },
        }
    }
}

fn bytes_of(req: &Req) -> u64 {
    match &req.data {
        Data::Pieces(pieces) => pieces.iter().fold(0u64, |sum, (_, len)| sum.saturating_add(*len)),
        Data::Many(_) => 0,
        _ => req.len.unwrap_or(0),
    }
}

fn has_twice(of: &[usize]) -> bool {
    of.iter().enumerate().any(|(i, x)| of[..i].contains(x))
}
