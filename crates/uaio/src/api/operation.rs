//! What can be asked for.

use std::os::fd::{AsFd, AsRawFd};

use super::buffer::{IoBuf, IoBufMut};
use super::file::{IntoIoFile, IoFile};
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
    /// Before all others, 0 first, 7 last ([`EINVAL`](crate::Errno::EINVAL) beyond). [`EPERM`](crate::Errno::EPERM) without CAP_SYS_ADMIN or CAP_SYS_NICE.
    RealTime(u8),
    /// As most, 0 first, 7 last ([`EINVAL`](crate::Errno::EINVAL) beyond).
    BestEffort(u8),
    /// When nobody else wants the device.
    Idle,
}

impl Priority {
    /// Class and level; for a level that there is none of, a class that there is none of.
    fn number(self) -> i16 {
        match self {
            Priority::RealTime(level @ 0..=7) => (1 << 13) | i16::from(level),
            Priority::BestEffort(level @ 0..=7) => (2 << 13) | i16::from(level),
            Priority::Idle => 3 << 13,
            Priority::RealTime(_) | Priority::BestEffort(_) => -1,
        }
    }
}

/// Where an operation's bytes are, given where its buffer is.
pub(crate) enum Describe {
    Nowhere,
    One(unsafe fn(*mut ()) -> Iovec),
    /// Piece by piece.
    Many(unsafe fn(*mut (), &mut dyn FnMut(Iovec))),
}

/// What operations of one kind, with one type of buffer, have in common.
pub(crate) struct Shape {
    pub(crate) opcode: u16,
    pub(crate) describe: Describe,
    pub(crate) finish: Finish,
}

impl Shape {
    const fn new(opcode: u16, describe: Describe, finish: Finish) -> Shape {
        Shape { opcode, describe, finish }
    }
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
    pub(crate) parts: Parts<'f>,
    pub(crate) buffer: B,
}

/// An operation without its buffer.
pub(crate) struct Parts<'f> {
    pub(crate) file: IoFile<'f>,
    pub(crate) shape: &'static Shape,
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

unsafe fn readable<B: IoBuf>(buffer: *mut ()) -> Iovec {
    // SAFETY: the caller's promise: a `B` that nobody else uses.
    let buffer = unsafe { &*buffer.cast::<B>() };
    Iovec { base: buffer.io_ptr() as usize, len: buffer.io_len() }
}

unsafe fn writable<B: IoBufMut>(buffer: *mut ()) -> Iovec {
    // SAFETY: as above.
    let buffer = unsafe { &mut *buffer.cast::<B>() };
    Iovec { base: buffer.io_mut_ptr() as usize, len: buffer.io_room() }
}

unsafe fn readable_list<B: IoBuf>(buffers: *mut (), piece: &mut dyn FnMut(Iovec)) {
    // SAFETY: as above, of a `Vec<B>`.
    let buffers = unsafe { &*buffers.cast::<Vec<B>>() };
    buffers.iter().for_each(|b| piece(Iovec { base: b.io_ptr() as usize, len: b.io_len() }));
}

unsafe fn writable_list<B: IoBufMut>(buffers: *mut (), piece: &mut dyn FnMut(Iovec)) {
    // SAFETY: as above.
    let buffers = unsafe { &mut *buffers.cast::<Vec<B>>() };
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
    fn new(shape: &'static Shape, file: IoFile<'f>, buffer: B, offset: u64) -> Operation<'f, B> {
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
    pub fn read(file: impl IntoIoFile<'f>, buffer: B, offset: u64) -> Self {
        Operation::new(
            const { &Shape::new(IOCB_CMD_PREAD, Describe::One(writable::<B>), was_read::<B>) },
            file.into_io_file(),
            buffer,
            offset,
        )
    }
}

impl<'f, B: IoBuf> Operation<'f, B> {
    /// Writes `buffer` at `offset`. The result is the number of bytes.
    ///
    /// Performed inside submit unless the file is open with `O_DIRECT` and the write overwrites blocks that exist.
    pub fn write(file: impl IntoIoFile<'f>, buffer: B, offset: u64) -> Self {
        Operation::new(
            const { &Shape::new(IOCB_CMD_PWRITE, Describe::One(readable::<B>), nothing_read) },
            file.into_io_file(),
            buffer,
            offset,
        )
    }
}

impl<'f, B: IoBufMut> Operation<'f, Vec<B>> {
    /// Reads at `offset` into the buffers, one after the other. More than 1024 are refused with
    /// [`EINVAL`](crate::Errno::EINVAL).
    pub fn read_vectored(file: impl IntoIoFile<'f>, buffers: Vec<B>, offset: u64) -> Self {
        Operation::new(
            const { &Shape::new(IOCB_CMD_PREADV, Describe::Many(writable_list::<B>), were_read::<B>) },
            file.into_io_file(),
            buffers,
            offset,
        )
    }
}

impl<'f, B: IoBuf> Operation<'f, Vec<B>> {
    /// Writes the buffers at `offset`, one after the other. More than 1024 are refused with
    /// [`EINVAL`](crate::Errno::EINVAL).
    pub fn write_vectored(file: impl IntoIoFile<'f>, buffers: Vec<B>, offset: u64) -> Self {
        Operation::new(
            const { &Shape::new(IOCB_CMD_PWRITEV, Describe::Many(readable_list::<B>), nothing_read) },
            file.into_io_file(),
            buffers,
            offset,
        )
    }
}

const fn without_bytes(opcode: u16) -> Shape {
    Shape::new(opcode, Describe::Nowhere, nothing_read)
}

static FSYNC: Shape = without_bytes(IOCB_CMD_FSYNC);
static FDSYNC: Shape = without_bytes(IOCB_CMD_FDSYNC);
static POLL: Shape = without_bytes(IOCB_CMD_POLL);

impl<'f> Operation<'f, ()> {
    /// `fsync(2)`: data and metadata of what was written before reach the device. The result is 0. Only writes that
    /// have completed are covered for certain.
    pub fn fsync(file: impl IntoIoFile<'f>) -> Self {
        Operation::new(&FSYNC, file.into_io_file(), (), 0)
    }

    /// `fdatasync(2)`: the data does. Else as [`fsync`](Operation::fsync).
    pub fn fdatasync(file: impl IntoIoFile<'f>) -> Self {
        Operation::new(&FDSYNC, file.into_io_file(), (), 0)
    }

    /// Waits, once, until the file is ready. The result is what it is ready for
    /// ([`Completion::readiness`](crate::Completion::readiness)), or 0 when it was cancelled.
    pub fn poll(file: impl IntoIoFile<'f>, wanted: Readiness) -> Self {
        let mut poll = Operation::new(&POLL, file.into_io_file(), (), 0);
        poll.parts.mask = wanted.bits();
        poll
    }
}
