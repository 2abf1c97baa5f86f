//! The kernel's structures and numbers, as `<linux/aio_abi.h>` has them.
//!
//! Every layout is checked at compile time against the offsets of the header (spec 0).

use core::mem::{offset_of, size_of};

/// `aio_context_t`: the address of the context's ring. 0 names no context.
pub type ContextId = usize;

/// `struct iocb`: one request, 64 bytes on every ABI. See `io_submit(2)`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Iocb {
    /// Handed back in [`IoEvent::data`].
    pub data: u64,
    #[cfg(target_endian = "little")]
    /// Set to 0 by `io_submit`, demanded by `io_cancel`.
    pub key: u32,
    /// `RWF_` flags.
    pub rw_flags: u32,
    #[cfg(target_endian = "big")]
    /// Set to 0 by `io_submit`, demanded by `io_cancel`.
    pub key: u32,
    /// One of the `IOCB_CMD_` numbers.
    pub opcode: u16,
    /// I/O priority, read only with [`IOCB_FLAG_IOPRIO`].
    pub reqprio: i16,
    /// The file.
    pub fildes: u32,
    /// Address of the buffer or of the iovec array; for POLL the mask.
    pub buf: u64,
    /// Bytes, or entries of the iovec array.
    pub nbytes: u64,
    /// Position in the file, bytes.
    pub offset: i64,
    /// Must be 0.
    pub reserved2: u64,
    /// `IOCB_FLAG_` bits; unknown ones are ignored.
    pub flags: u32,
    /// The eventfd, read only with [`IOCB_FLAG_RESFD`].
    pub resfd: u32,
}

/// `struct io_event`: one completion, 32 bytes on every ABI.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoEvent {
    /// [`Iocb::data`] of the request.
    pub data: u64,
    /// Address of the request's iocb.
    pub obj: u64,
    /// Bytes, a poll mask, or a negated errno.
    pub res: i64,
    /// Always 0.
    pub res2: i64,
}

/// The first 32 bytes of a ring; the events follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingHeader {
    /// Index of the context in the process's table.
    pub id: u32,
    /// Events that the ring has room for, one of them always unused.
    pub nr: u32,
    /// Next event to reap; moved by the reader.
    pub head: u32,
    /// One past the last event; moved by the producer.
    pub tail: u32,
    /// [`RING_MAGIC`].
    pub magic: u32,
    /// 1.
    pub compat_features: u32,
    /// 0.
    pub incompat_features: u32,
    /// 32.
    pub header_length: u32,
}

/// `struct __kernel_timespec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds.
    pub nsec: i64,
}

/// `struct __aio_sigset`: the sixth argument of `io_pgetevents`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AioSigset {
    /// Address of the mask, or 0.
    pub sigmask: usize,
    /// Bytes at that address; must be 8 when there is one.
    pub sigsetsize: usize,
}

/// `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Iovec {
    /// Address of the piece.
    pub base: usize,
    /// Bytes.
    pub len: usize,
}

/// `aio_ring.magic`.
pub const RING_MAGIC: u32 = 0xa10a_10a1;

/// Read `nbytes` at `offset` into `buf`.
pub const IOCB_CMD_PREAD: u16 = 0;
/// Write `nbytes` from `buf` at `offset`.
pub const IOCB_CMD_PWRITE: u16 = 1;
/// `fsync(2)`.
pub const IOCB_CMD_FSYNC: u16 = 2;
/// `fdatasync(2)`.
pub const IOCB_CMD_FDSYNC: u16 = 3;
/// One-shot poll.
pub const IOCB_CMD_POLL: u16 = 5;
/// Listed in the header, refused with EINVAL.
pub const IOCB_CMD_NOOP: u16 = 6;
/// Read into an iovec array.
pub const IOCB_CMD_PREADV: u16 = 7;
/// Write from an iovec array.
pub const IOCB_CMD_PWRITEV: u16 = 8;

/// Signal [`Iocb::resfd`] on completion.
pub const IOCB_FLAG_RESFD: u32 = 1;
/// [`Iocb::reqprio`] is set.
pub const IOCB_FLAG_IOPRIO: u32 = 2;

/// High priority; accepted and dropped.
pub const RWF_HIPRI: u32 = 1 << 0;
/// As `O_DSYNC`, for this write.
pub const RWF_DSYNC: u32 = 1 << 1;
/// As `O_SYNC`, for this write.
pub const RWF_SYNC: u32 = 1 << 2;
/// EAGAIN instead of waiting.
pub const RWF_NOWAIT: u32 = 1 << 3;
/// As `O_APPEND`, for this write.
pub const RWF_APPEND: u32 = 1 << 4;
/// Not as `O_APPEND`, for this write.
pub const RWF_NOAPPEND: u32 = 1 << 5;
/// Untorn write.
pub const RWF_ATOMIC: u32 = 1 << 6;
/// Drop from the page cache afterwards.
pub const RWF_DONTCACHE: u32 = 1 << 7;
/// No SIGPIPE.
pub const RWF_NOSIGNAL: u32 = 1 << 8;

/// The largest transfer of one request, bytes; longer ones are cut.
pub const MAX_RW_COUNT: u64 = 0x7fff_f000;
/// The most entries of an iovec array.
pub const UIO_MAXIOV: u64 = 1024;

/// System call numbers of the six calls.
pub mod nr {
    #[cfg(target_arch = "x86_64")]
    mod arch {
        pub const IO_SETUP: usize = 206;
        pub const IO_DESTROY: usize = 207;
        pub const IO_GETEVENTS: usize = 208;
        pub const IO_SUBMIT: usize = 209;
        pub const IO_CANCEL: usize = 210;
        pub const IO_PGETEVENTS: usize = 333;
    }
    #[cfg(not(target_arch = "x86_64"))]
    mod arch {
        pub const IO_SETUP: usize = 0;
        pub const IO_DESTROY: usize = 1;
        pub const IO_SUBMIT: usize = 2;
        pub const IO_CANCEL: usize = 3;
        pub const IO_GETEVENTS: usize = 4;
        pub const IO_PGETEVENTS: usize = 292;
    }
    pub use arch::*;
}

const _: () = {
    assert!(size_of::<Iocb>() == 64);
    assert!(offset_of!(Iocb, data) == 0);
    #[cfg(target_endian = "little")]
    assert!(offset_of!(Iocb, key) == 8 && offset_of!(Iocb, rw_flags) == 12);
    #[cfg(target_endian = "big")]
    assert!(offset_of!(Iocb, key) == 12 && offset_of!(Iocb, rw_flags) == 8);
    assert!(offset_of!(Iocb, opcode) == 16);
    assert!(offset_of!(Iocb, reqprio) == 18);
    assert!(offset_of!(Iocb, fildes) == 20);
    assert!(offset_of!(Iocb, buf) == 24);
    assert!(offset_of!(Iocb, nbytes) == 32);
    assert!(offset_of!(Iocb, offset) == 40);
    assert!(offset_of!(Iocb, reserved2) == 48);
    assert!(offset_of!(Iocb, flags) == 56);
    assert!(offset_of!(Iocb, resfd) == 60);

    assert!(size_of::<IoEvent>() == 32);
    assert!(offset_of!(IoEvent, data) == 0);
    assert!(offset_of!(IoEvent, obj) == 8);
    assert!(offset_of!(IoEvent, res) == 16);
    assert!(offset_of!(IoEvent, res2) == 24);

    assert!(size_of::<RingHeader>() == 32);
    assert!(offset_of!(RingHeader, head) == 8);
    assert!(offset_of!(RingHeader, tail) == 12);
    assert!(offset_of!(RingHeader, magic) == 16);
    assert!(offset_of!(RingHeader, header_length) == 28);

    assert!(size_of::<Timespec>() == 16);
    assert!(size_of::<AioSigset>() == 2 * size_of::<usize>());
    assert!(size_of::<Iovec>() == 2 * size_of::<usize>());
};
