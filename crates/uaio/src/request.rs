//! An iocb copied in and checked, in the kernel's order (spec 2).

use crate::abi::*;
use crate::errno::{Errno, Result};
use crate::facts::{Facts, Kind};
use crate::os::{file, probe};

/// Iovec entries that a request holds by itself.
pub(crate) const OWN_IOVECS: usize = 8;

/// First address beyond what a program can own.
#[cfg(target_arch = "x86_64")]
const USER_END: u64 = 0x7fff_ffff_f000;
#[cfg(not(target_arch = "x86_64"))]
const USER_END: u64 = 1 << 52;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Op {
    Read,
    Write,
    Fsync,
    Fdatasync,
    Poll,
}

/// One accepted request. It lives in a slot while an engine has it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Request {
    /// Echoed in the event.
    pub(crate) data: u64,
    /// Echoed in the event: the iocb's address.
    pub(crate) obj: u64,
    /// Position in the file, bytes; -1 for files that have none.
    pub(crate) offset: i64,
    /// CLOCK_MONOTONIC at acceptance, nanoseconds; 0 when not measured.
    pub(crate) started_ns: u64,
    /// More than [`OWN_IOVECS`] entries: a mapping of their own; else null.
    spilled: *mut Iovec,
    own: [Iovec; OWN_IOVECS],
    /// Entries of the iovec.
    count: u32,
    /// Bytes asked for, after the cut to MAX_RW_COUNT.
    pub(crate) want: u32,
    /// Bytes already transferred; the iovec starts behind them.
    pub(crate) done: u32,
    pub(crate) rw_flags: u32,
    pub(crate) fd: i32,
    /// The eventfd, or -1.
    pub(crate) resfd: i32,
    /// The event comes so many microseconds late.
    pub(crate) delay_us: u32,
    /// I/O priority, 0 when none was asked for.
    pub(crate) priority: u16,
    pub(crate) poll_mask: u16,
    pub(crate) opcode: u16,
    pub(crate) op: Op,
    /// May wait for somebody else, who need not ever come.
    pub(crate) stream: bool,
    /// A buffered read that waits for the disk.
    pub(crate) cold: bool,
    /// What was read is changed before the event.
    pub(crate) corrupt: bool,
    /// Its result is known: [`Request::performed`].
    pub(crate) is_performed: bool,
}

/// Step 1 to 8 of spec 2: what can be said of an iocb by itself.
pub(crate) fn check_shape(iocb: &Iocb) -> Result<()> {
    let fits = usize::try_from(iocb.buf).is_ok() && isize::try_from(iocb.nbytes).is_ok();
    if iocb.reserved2 != 0 || !fits { Err(Errno::EINVAL) } else { Ok(()) }
}

impl Request {
    /// Steps 13 and 14: opcode and its checks.
    pub(crate) fn check(iocb: &Iocb, address: usize, facts: &Facts) -> Result<Request> {
        let op = match iocb.opcode {
            IOCB_CMD_PREAD | IOCB_CMD_PREADV => Op::Read,
            IOCB_CMD_PWRITE | IOCB_CMD_PWRITEV => Op::Write,
            IOCB_CMD_FSYNC => Op::Fsync,
            IOCB_CMD_FDSYNC => Op::Fdatasync,
            IOCB_CMD_POLL => Op::Poll,
            _ => return Err(Errno::EINVAL),
        };
        let mut request = Request::new(op, iocb, address, facts);
        match op {
            Op::Read | Op::Write => request.check_rw(iocb, facts)?,
            Op::Fsync | Op::Fdatasync => check_sync(iocb, facts)?,
            Op::Poll => check_poll(iocb)?,
        }
        Ok(request)
    }

    /// Whether `iocb`, a PREAD or PWRITE, has nothing special, and passes every check which does not concern its file.
    pub(crate) fn is_plain(iocb: &Iocb) -> bool {
        let plain = iocb.rw_flags == 0 && iocb.flags & IOCB_FLAG_IOPRIO == 0;
        let fits = (1..=MAX_RW_COUNT).contains(&iocb.nbytes) && check_range(iocb.buf, iocb.nbytes).is_ok();
        plain && fits && iocb.offset >= 0 && iocb.offset.checked_add(iocb.nbytes as i64).is_some()
    }

    /// Whether `iocb`, a POLL, passes its checks.
    pub(crate) fn is_plain_poll(iocb: &Iocb) -> bool {
        check_poll(iocb).is_ok()
    }

    /// The request of a PREAD that [`Request::is_plain`].
    pub(crate) fn plain_read(iocb: &Iocb, address: usize) -> Request {
        let mut request = Request::of_kind(Op::Read, iocb, address, false);
        request.own[0] = Iovec { base: iocb.buf as usize, len: iocb.nbytes as usize };
        (request.count, request.want) = (1, iocb.nbytes as u32);
        request
    }

    fn new(op: Op, iocb: &Iocb, address: usize, facts: &Facts) -> Request {
        Request::of_kind(op, iocb, address, matches!(facts.kind, Kind::Stream | Kind::Anonymous))
    }

    fn of_kind(op: Op, iocb: &Iocb, address: usize, stream: bool) -> Request {
        Request {
            data: iocb.data,
            obj: address as u64,
            offset: iocb.offset,
            started_ns: 0,
            spilled: core::ptr::null_mut(),
            own: [Iovec::default(); OWN_IOVECS],
            count: 0,
            want: 0,
            done: 0,
            delay_us: 0,
            rw_flags: iocb.rw_flags & !RWF_HIPRI,
            fd: iocb.fildes as i32,
            resfd: if iocb.flags & IOCB_FLAG_RESFD != 0 { iocb.resfd as i32 } else { -1 },
            priority: 0,
            poll_mask: iocb.buf as u16,
            opcode: iocb.opcode,
            op,
            stream,
            cold: false,
            corrupt: false,
            is_performed: false,
        }
    }

    /// A completed request that only waits for its event to be delivered.
    pub(crate) fn parked(event: &IoEvent, resfd: i32) -> Request {
        Request {
            data: event.data,
            obj: event.obj,
            offset: event.res,
            started_ns: 0,
            spilled: core::ptr::null_mut(),
            own: [Iovec::default(); OWN_IOVECS],
            count: 0,
            want: 0,
            done: 0,
            delay_us: 0,
            rw_flags: 0,
            fd: -1,
            resfd,
            priority: 0,
            poll_mask: 0,
            opcode: IOCB_CMD_NOOP,
            op: Op::Poll,
            stream: false,
            cold: false,
            corrupt: false,
            is_performed: false,
        }
    }

    /// What [`Request::parked`] holds.
    pub(crate) fn parked_event(&self) -> (IoEvent, i32) {
        (IoEvent { data: self.data, obj: self.obj, res: self.offset, res2: 0 }, self.resfd)
    }

    fn check_rw(&mut self, iocb: &Iocb, facts: &Facts) -> Result<()> {
        let write = self.op == Op::Write;
        if iocb.flags & IOCB_FLAG_IOPRIO != 0 {
            file::check_priority(iocb.reqprio as u16)?;
            self.priority = iocb.reqprio as u16;
        }
        check_rw_flags(self.rw_flags, write, facts)?;
        if !(if write { facts.can_write() } else { facts.can_read() }) {
            return Err(Errno::EBADF);
        }
        if !facts.has_iterator(write) {
            return Err(Errno::EINVAL);
        }
        match iocb.opcode {
            IOCB_CMD_PREADV | IOCB_CMD_PWRITEV => self.take_iovec(iocb.buf as usize, iocb.nbytes as u32)?,
            _ => self.take_buffer(iocb.buf, iocb.nbytes)?,
        }
        let end = self.offset.checked_add(i64::from(self.want));
        if self.offset < 0 || end.is_none() {
            self.release();
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    fn take_buffer(&mut self, base: u64, len: u64) -> Result<()> {
        let len = len.min(MAX_RW_COUNT);
        check_range(base, len)?;
        self.own[0] = Iovec { base: base as usize, len: len as usize };
        self.count = 1;
        self.want = len as u32;
        Ok(())
    }

    fn take_iovec(&mut self, array: usize, count: u32) -> Result<()> {
        if u64::from(count) > UIO_MAXIOV {
            return Err(Errno::EINVAL);
        }
        let bytes = count as usize * size_of::<Iovec>();
        if !probe::readable(array, bytes) {
            return Err(refusal_of_vector(array, count));
        }
        if count as usize > OWN_IOVECS {
            self.spilled = crate::os::mem::map_private(bytes)?.cast();
        }
        self.count = count;
        // SAFETY: the source was readable a moment ago; the destination has room for `count` entries.
        unsafe { core::ptr::copy_nonoverlapping(array as *const u8, self.iovec_mut().as_mut_ptr().cast(), bytes) };
        self.check_iovec().inspect_err(|_| self.release())
    }

    fn check_iovec(&mut self) -> Result<()> {
        // All lengths come before the first address.
        if self.iovec().iter().any(has_negative_length) {
            return Err(Errno::EINVAL);
        }
        let mut total = 0u64;
        // An array of one is taken like a plain buffer: cut first, then judged.
        let alone = self.count == 1;
        for piece in self.iovec_mut() {
            if alone {
                piece.len = (piece.len as u64).min(MAX_RW_COUNT) as usize;
            }
            check_range(piece.base as u64, piece.len as u64)?;
            piece.len = (piece.len as u64).min(MAX_RW_COUNT - total) as usize;
            total += piece.len as u64;
        }
        self.want = total as u32;
        Ok(())
    }

    /// The pieces of memory that are still to be transferred.
    pub(crate) fn iovec(&self) -> &[Iovec] {
        let base = if self.spilled.is_null() { self.own.as_ptr() } else { self.spilled.cast_const() };
        // SAFETY: both places hold at least `count` entries: `take_iovec` saw to it.
        unsafe { core::slice::from_raw_parts(base, self.count as usize) }
    }

    fn iovec_mut(&mut self) -> &mut [Iovec] {
        let base = if self.spilled.is_null() { self.own.as_mut_ptr() } else { self.spilled };
        // SAFETY: as in `iovec`; `&mut self` is the only access.
        unsafe { core::slice::from_raw_parts_mut(base, self.count as usize) }
    }

    /// Makes the transfer `bytes` long, where it was longer.
    pub(crate) fn cut(&mut self, bytes: u32) {
        let mut left = bytes as usize;
        for piece in self.iovec_mut() {
            piece.len = piece.len.min(left);
            left -= piece.len;
        }
        self.want = self.want.min(self.done + bytes);
    }

    /// It has ended with `res`; only its event is still to come.
    pub(crate) fn perform(&mut self, res: i64) {
        (self.is_performed, self.offset) = (true, res);
    }

    /// Its result, where that is known already.
    pub(crate) fn performed(&self) -> Option<i64> {
        self.is_performed.then_some(self.offset)
    }

    /// Changes a byte of what was read, if it is to be corrupted. `res` is its result.
    pub(crate) fn spoil(&mut self, res: i64) {
        if !core::mem::take(&mut self.corrupt) || res <= i64::from(self.done) {
            return;
        }
        if let Some(piece) = self.iovec().iter().find(|piece| piece.len > 0) {
            let byte = piece.base as *mut u8;
            // SAFETY: `res` says that the kernel has written there for this very request, whose memory it is until its
            // event.
            unsafe { byte.write_volatile(byte.read_volatile() ^ 0x55) };
        }
    }

    /// Takes note of `bytes` transferred: the rest starts behind them.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.done += bytes as u32;
        if self.offset >= 0 {
            self.offset += bytes as i64;
        }
        let mut left = bytes;
        for piece in self.iovec_mut() {
            let here = left.min(piece.len);
            piece.base += here;
            piece.len -= here;
            left -= here;
        }
    }

    /// Bytes still to be transferred.
    pub(crate) fn left(&self) -> u32 {
        self.want - self.done
    }

    /// The event's result when the rest ends with `last`: what has been transferred counts.
    pub(crate) fn result(&self, last: Result<usize>) -> i64 {
        match last {
            Ok(n) => i64::from(self.done) + n as i64,
            Err(_) if self.done > 0 => i64::from(self.done),
            Err(e) => e.negated() as i64,
        }
    }

    /// The result when it is ended before its time.
    pub(crate) fn cancelled(&self) -> i64 {
        match self.op {
            Op::Poll => 0,
            _ => self.result(Err(Errno::ECANCELED)),
        }
    }

    /// Whether io_destroy lets it run to its end: writes to files, and fsync.
    pub(crate) fn is_lasting(&self) -> bool {
        match self.op {
            Op::Write => !self.stream,
            Op::Fsync | Op::Fdatasync => true,
            Op::Read | Op::Poll => false,
        }
    }

    /// Gives back the memory of a long iovec array. Called once, when nobody reads it any more.
    pub(crate) fn release(&mut self) {
        if !self.spilled.is_null() {
            crate::os::mem::unmap(self.spilled as usize, self.count as usize * size_of::<Iovec>());
            self.spilled = core::ptr::null_mut();
            self.count = 0;
        }
    }
}

fn has_negative_length(piece: &Iovec) -> bool {
    isize::try_from(piece.len).is_err()
}

/// Why a vector with a hole is refused: EFAULT, unless an entry before the hole has a negative length.
fn refusal_of_vector(array: usize, count: u32) -> Errno {
    for index in 0..count as usize {
        let entry = array.wrapping_add(index * size_of::<Iovec>());
        if !probe::readable(entry, size_of::<Iovec>()) {
            break;
        }
        // SAFETY: readable a moment ago; any bytes are a valid Iovec.
        let piece = unsafe { (entry as *const Iovec).read_unaligned() };
        if has_negative_length(&piece) {
            return Errno::EINVAL;
        }
    }
    Errno::EFAULT
}

fn check_range(base: u64, len: u64) -> Result<()> {
    match base.checked_add(len) {
        Some(end) if end <= USER_END => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}

/// Flags that can be judged before anything is done. Whether the file system has ATOMIC or DONTCACHE, the
/// attempt itself tells.
fn check_rw_flags(flags: u32, write: bool, facts: &Facts) -> Result<()> {
    const KNOWN: u32 = (RWF_NOSIGNAL << 1) - 1;
    if flags & !KNOWN != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if flags & RWF_APPEND != 0 && flags & RWF_NOAPPEND != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & RWF_NOWAIT != 0 && !facts.takes_nowait() {
        return Err(Errno::EOPNOTSUPP);
    }
    if flags & RWF_ATOMIC != 0 && !(write && facts.takes_atomic()) {
        return Err(Errno::EOPNOTSUPP);
    }
    if flags & RWF_DONTCACHE != 0 && !facts.takes_dontcache() {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(())
}

fn check_sync(iocb: &Iocb, facts: &Facts) -> Result<()> {
    if iocb.buf != 0 || iocb.offset != 0 || iocb.nbytes != 0 || iocb.rw_flags != 0 || !facts.can_sync() {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

fn check_poll(iocb: &Iocb) -> Result<()> {
    let extra = iocb.offset != 0 || iocb.nbytes != 0 || iocb.rw_flags != 0;
    if extra || iocb.buf > 0xffff { Err(Errno::EINVAL) } else { Ok(()) }
}
