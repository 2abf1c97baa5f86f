//! What can be asked for.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::buffer::{IoBuf, IoBufMut};
use crate::abi::*;

bitflags::bitflags! {
    /// Flags of one read or write, as `preadv2(2)` has them. [`EOPNOTSUPP`](crate::Errno::EOPNOTSUPP) where
    /// the file does not support one.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RwFlags: u32 {
        /// High priority; accepted and dropped, as the kernel's AIO does.
        const HIPRI = RWF_HIPRI;
        /// The data is on the device when the write completes, as `O_DSYNC`. Performed inside submit.
        const DSYNC = RWF_DSYNC;
        /// Data and metadata are, as `O_SYNC`. Performed inside submit.
        const SYNC = RWF_SYNC;
        /// [`EAGAIN`](crate::Errno::EAGAIN) as the result where it would wait.
        const NOWAIT = RWF_NOWAIT;
        /// At the end of the file, whatever the offset. Performed inside submit.
        const APPEND = RWF_APPEND;
        /// At the offset, although the file has `O_APPEND`.
        const NOAPPEND = RWF_NOAPPEND;
        /// Untorn write.
        const ATOMIC = RWF_ATOMIC;
        /// Drops what was transferred from the page cache afterwards.
        const DONTCACHE = RWF_DONTCACHE;
        /// No SIGPIPE.
        const NOSIGNAL = RWF_NOSIGNAL;
    }
}

bitflags::bitflags! {
    /// What to wait for, and what has come: the bits of `poll(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Readiness: u16 {
        /// There is something to read.
        const IN = libc::POLLIN as u16;
        /// There is something urgent.
        const PRI = libc::POLLPRI as u16;
        /// There is room to write.
        const OUT = libc::POLLOUT as u16;
        /// An error; always waited for.
        const ERR = libc::POLLERR as u16;
        /// The other end is gone; always waited for.
        const HUP = libc::POLLHUP as u16;
        /// The other end writes no more.
        const RDHUP = libc::POLLRDHUP as u16;
    }
}

/// I/O priority of one read or write, as `ioprio_set(2)` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Before all others, 0 first, 7 last. [`EPERM`](crate::Errno::EPERM) without CAP_SYS_ADMIN or CAP_SYS_NICE.
    RealTime(u8),
    /// As most, 0 first, 7 last.
    BestEffort(u8),
    /// When nobody else wants the device.
    Idle,
}

impl Priority {
    fn number(self) -> i16 {
        let (class, level) = match self {
            Priority::RealTime(level) => (1, level),
            Priority::BestEffort(level) => (2, level),
            Priority::Idle => (3, 0),
        };
        (class << 13) | i16::from(level)
    }
}

/// The file of an operation. It is needed until submit has returned: by then the library has the file itself, and
/// the descriptor may be closed or used again.
///
/// Made by `into()` from `&File`, `&OwnedFd`, `BorrowedFd`, `Arc<File>`, `Arc<OwnedFd>` (and `&Arc` of both), `File`
/// and `OwnedFd`: never from a number.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum IoFile<'f> {
    /// Somebody else's.
    Borrowed(BorrowedFd<'f>),
    /// Shared.
    Fd(Arc<OwnedFd>),
    /// Shared.
    File(Arc<File>),
}

impl AsFd for IoFile<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            IoFile::Borrowed(fd) => *fd,
            IoFile::Fd(fd) => fd.as_fd(),
            IoFile::File(file) => file.as_fd(),
        }
    }
}

macro_rules! io_file_from {
    ($($given:ty, |$value:ident| $made:expr;)*) => {
        $(impl<'f> From<$given> for IoFile<'f> {
            fn from($value: $given) -> IoFile<'f> {
                $made
            }
        })*
    };
}

io_file_from! {
    BorrowedFd<'f>, |fd| IoFile::Borrowed(fd);
    &'f File, |file| IoFile::Borrowed(file.as_fd());
    &'f OwnedFd, |fd| IoFile::Borrowed(fd.as_fd());
    Arc<OwnedFd>, |fd| IoFile::Fd(fd);
    Arc<File>, |file| IoFile::File(file);
    &'f Arc<OwnedFd>, |fd| IoFile::Borrowed(fd.as_fd());
    &'f Arc<File>, |file| IoFile::Borrowed(file.as_fd());
    OwnedFd, |fd| IoFile::Fd(Arc::new(fd));
    File, |file| IoFile::File(Arc::new(file));
}

/// Where an operation's bytes are.
pub(crate) enum Describe<B> {
    Nowhere,
    One(unsafe fn(*mut B) -> Iovec),
    /// Piece by piece.
    Many(unsafe fn(*mut B, &mut dyn FnMut(Iovec))),
}

/// What operations of one kind have in common.
pub(crate) struct Shape<B> {
    pub(crate) opcode: u16,
    pub(crate) describe: Describe<B>,
    pub(crate) finish: Finish,
}

/// Tells the buffer at an address how many bytes were read.
pub(crate) type Finish = unsafe fn(*mut (), usize);

/// One operation, with the buffer that it owns: what [`Context::submit`](crate::Context::submit) takes.
///
/// An offset is in bytes from the start of the file and must be below 2^63 (else
/// [`EINVAL`](crate::Errno::EINVAL)); files without positions (pipes, terminals) ignore it, and sockets take only 0. A
/// transfer may be short, as with `pread(2)` and `pwrite(2)`, and is cut at 2147479552 bytes.
///
/// Source: `io_submit(2)`.
#[must_use = "an operation does nothing until it is submitted"]
pub struct Operation<'f, B> {
    pub(crate) parts: Parts<'f, B>,
    pub(crate) buffer: B,
}

/// An operation without its buffer.
pub(crate) struct Parts<'f, B> {
    pub(crate) file: IoFile<'f>,
    pub(crate) shape: Shape<B>,
    pub(crate) offset: i64,
    pub(crate) rw_flags: u32,
    /// What a poll waits for.
    pub(crate) mask: u16,
    pub(crate) priority: Option<i16>,
}

impl<B> std::fmt::Debug for Operation<'_, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = ["read", "write", "fsync", "fdatasync", "", "poll", "", "read_vectored", "write_vectored"];
        let name = name.get(usize::from(self.parts.shape.opcode)).unwrap_or(&"");
        write!(f, "Operation({name} of {} at {})", self.parts.file.as_fd().as_raw_fd(), self.parts.offset)
    }
}

unsafe fn readable<B: IoBuf>(buffer: *mut B) -> Iovec {
    // SAFETY: the caller's promise: a valid buffer that nobody else uses.
    let buffer = unsafe { &*buffer };
    Iovec { base: buffer.io_ptr() as usize, len: buffer.io_len() }
}

unsafe fn writable<B: IoBufMut>(buffer: *mut B) -> Iovec {
    // SAFETY: as above.
    let buffer = unsafe { &mut *buffer };
    Iovec { base: buffer.io_mut_ptr() as usize, len: buffer.io_room() }
}

unsafe fn readable_list<B: IoBuf>(buffers: *mut Vec<B>, piece: &mut dyn FnMut(Iovec)) {
    // SAFETY: as above.
    let buffers = unsafe { &*buffers };
    buffers.iter().for_each(|b| piece(Iovec { base: b.io_ptr() as usize, len: b.io_len() }));
}

unsafe fn writable_list<B: IoBufMut>(buffers: *mut Vec<B>, piece: &mut dyn FnMut(Iovec)) {
    // SAFETY: as above.
    let buffers = unsafe { &mut *buffers };
    buffers.iter_mut().for_each(|b| piece(Iovec { base: b.io_mut_ptr() as usize, len: b.io_room() }));
}

/// For operations that read nothing.
pub(crate) unsafe fn nothing_read(_buffer: *mut (), _bytes: usize) {}

unsafe fn was_read<B: IoBufMut>(buffer: *mut (), bytes: usize) {
    // SAFETY: the caller's promise: it is a `B`, and nobody else's.
    let buffer = unsafe { &mut *buffer.cast::<B>() };
    let bytes = bytes.min(buffer.io_room());
    // SAFETY: not over the room, and the caller's promise: the kernel has filled so many.
    unsafe { buffer.set_filled(bytes) };
}

unsafe fn were_read<B: IoBufMut>(buffers: *mut (), bytes: usize) {
    // SAFETY: the caller's promise: they are `B`s, and nobody else's.
    let buffers = unsafe { &mut *buffers.cast::<Vec<B>>() };
    let mut left = bytes;
    for buffer in buffers {
        let here = left.min(buffer.io_room());
        // SAFETY: pieces are filled in order, each before the next begins.
        unsafe { buffer.set_filled(here) };
        left -= here;
    }
}

impl<'f, B> Operation<'f, B> {
    fn new(shape: Shape<B>, file: IoFile<'f>, buffer: B, offset: u64) -> Operation<'f, B> {
        let offset = i64::try_from(offset).unwrap_or(-1);
        Operation { parts: Parts { file, shape, offset, rw_flags: 0, mask: 0, priority: None }, buffer }
    }

    /// Adds flags. Of a read or write; fsync and poll are refused with any ([`EINVAL`](crate::Errno::EINVAL)).
    pub fn flags(mut self, flags: RwFlags) -> Self {
        self.parts.rw_flags |= flags.bits();
        self
    }

    /// Gives a read or write an I/O priority; other operations ignore it.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.parts.priority = Some(priority.number());
        self
    }

    /// The buffer.
    pub fn into_buffer(self) -> B {
        self.buffer
    }
}

impl<'f, B: IoBufMut> Operation<'f, B> {
    /// Reads at `offset` into `buffer`. The result is the number of bytes, 0 at the end of the file.
    pub fn read(file: impl Into<IoFile<'f>>, buffer: B, offset: u64) -> Self {
        Operation::new(
            Shape { opcode: IOCB_CMD_PREAD, describe: Describe::One(writable::<B>), finish: was_read::<B> },
            file.into(),
            buffer,
            offset,
        )
    }
}

impl<'f, B: IoBuf> Operation<'f, B> {
    /// Writes `buffer` at `offset`. The result is the number of bytes.
    ///
    /// Performed inside submit unless the file is open with `O_DIRECT` and the write overwrites blocks that exist.
    pub fn write(file: impl Into<IoFile<'f>>, buffer: B, offset: u64) -> Self {
        Operation::new(
            Shape { opcode: IOCB_CMD_PWRITE, describe: Describe::One(readable::<B>), finish: nothing_read },
            file.into(),
            buffer,
            offset,
        )
    }
}

impl<'f, B: IoBufMut> Operation<'f, Vec<B>> {
    /// Reads at `offset` into the buffers, one after the other. More than 1024 are refused with
    /// [`EINVAL`](crate::Errno::EINVAL).
    pub fn read_vectored(file: impl Into<IoFile<'f>>, buffers: Vec<B>, offset: u64) -> Self {
        Operation::new(
            Shape {
                opcode: IOCB_CMD_PREADV,
                describe: Describe::Many(writable_list::<B>),
                finish: were_read::<B>,
            },
            file.into(),
            buffers,
            offset,
        )
    }
}

impl<'f, B: IoBuf> Operation<'f, Vec<B>> {
    /// Writes the buffers at `offset`, one after the other. More than 1024 are refused with
    /// [`EINVAL`](crate::Errno::EINVAL).
    pub fn write_vectored(file: impl Into<IoFile<'f>>, buffers: Vec<B>, offset: u64) -> Self {
        Operation::new(
            Shape { opcode: IOCB_CMD_PWRITEV, describe: Describe::Many(readable_list::<B>), finish: nothing_read },
            file.into(),
            buffers,
            offset,
        )
    }
}

const fn without_bytes(opcode: u16) -> Shape<()> {
    Shape { opcode, describe: Describe::Nowhere, finish: nothing_read }
}

const FSYNC: Shape<()> = without_bytes(IOCB_CMD_FSYNC);
const FDSYNC: Shape<()> = without_bytes(IOCB_CMD_FDSYNC);
const POLL: Shape<()> = without_bytes(IOCB_CMD_POLL);

impl<'f> Operation<'f, ()> {
    /// `fsync(2)`: data and metadata of what was written before reach the device. The result is 0. Only writes that
    /// have completed are covered for certain.
    pub fn fsync(file: impl Into<IoFile<'f>>) -> Self {
        Operation::new(FSYNC, file.into(), (), 0)
    }

    /// `fdatasync(2)`: the data does. Else as [`fsync`](Operation::fsync).
    pub fn fdatasync(file: impl Into<IoFile<'f>>) -> Self {
        Operation::new(FDSYNC, file.into(), (), 0)
    }

    /// Waits, once, until the file is ready. The result is what it is ready for
    /// ([`Completion::readiness`](crate::Completion::readiness)), or 0 when it was cancelled.
    pub fn poll(file: impl Into<IoFile<'f>>, wanted: Readiness) -> Self {
        let mut poll = Operation::new(POLL, file.into(), (), 0);
        poll.parts.mask = wanted.bits();
        poll
    }
}
