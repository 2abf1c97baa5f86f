//! The AIO calls, made as system calls, and the memory that requests use.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fs;
use std::io;
use std::ptr::NonNull;

use crate::files::BLOCK_ALIGN;

/// Read `nbytes` at `offset`.
pub const PREAD: u16 = 0;
/// Write `nbytes` at `offset`.
pub const PWRITE: u16 = 1;

/// `struct iocb` of `<linux/aio_abi.h>`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Iocb {
    pub data: u64,
    /// `key` and `rw_flags`, whose order depends on the byte order; both are 0.
    pub key_and_flags: u64,
    pub opcode: u16,
    pub reqprio: i16,
    pub fd: u32,
    pub buf: u64,
    pub nbytes: u64,
    pub offset: i64,
    pub reserved: u64,
    pub flags: u32,
    pub resfd: u32,
}

/// `struct io_event` of `<linux/aio_abi.h>`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Event {
    pub data: u64,
    pub obj: u64,
    pub res: i64,
    pub res2: i64,
}

const _: () = assert!(size_of::<Iocb>() == 64 && size_of::<Event>() == 32);

/// An `aio_context_t`.
#[derive(Debug)]
pub struct Context(libc::c_ulong);

impl Context {
    /// io_setup for `depth` requests in flight.
    pub fn new(depth: u32) -> io::Result<Context> {
        let mut id: libc::c_ulong = 0;
        // SAFETY: `id` is an aio_context_t that holds 0, and lives across the call.
        result(unsafe { libc::syscall(libc::SYS_io_setup, depth, &raw mut id) })?;
        Ok(Context(id))
    }

    /// io_submit; the number of requests accepted.
    ///
    /// # Safety
    /// Until their events have come, the buffers of the requests are used by nobody else.
    pub unsafe fn submit(&self, iocbs: &[*mut Iocb]) -> io::Result<usize> {
        // SAFETY: the array and the requests in it are valid across the call; the buffers by the caller's promise.
        result(unsafe { libc::syscall(libc::SYS_io_submit, self.0, iocbs.len(), iocbs.as_ptr()) })
    }

    /// io_getevents without time-out: at least one event, at most as many as there is room for.
    pub fn wait<'e>(&self, events: &'e mut [Event]) -> io::Result<&'e [Event]> {
        let no_timeout = std::ptr::null_mut::<libc::timespec>();
        let (room, array) = (events.len(), events.as_mut_ptr());
        // SAFETY: `array` has room for `room` events.
        let got =
            result(unsafe { libc::syscall(libc::SYS_io_getevents, self.0, 1usize, room, array, no_timeout) })?;
        Ok(&events[..got])
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: any number may be given.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

fn result(ret: libc::c_long) -> io::Result<usize> {
    usize::try_from(ret).map_err(|_| io::Error::last_os_error())
}

/// What a failed io_setup means to a person.
pub fn explain_setup(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => format!(
            "io_setup: EAGAIN: the system's quota of AIO requests is used up (fs.aio-nr = {}, fs.aio-max-nr = {}); \
             `sysctl fs.aio-max-nr=1048576` raises it",
            setting("aio-nr"),
            setting("aio-max-nr")
        ),
        Some(libc::ENOSYS) => "io_setup: ENOSYS: there is no AIO here".into(),
        Some(libc::EPERM) => "io_setup: EPERM: a system call filter forbids AIO here".into(),
        Some(libc::ENOMEM) => "io_setup: ENOMEM: no memory for the ring".into(),
        _ => format!("io_setup: {error}"),
    }
}

fn setting(name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/sys/fs/{name}"));
    text.map_or_else(|_| "unknown".into(), |text| text.trim().into())
}

/// Equal pieces of memory, aligned for O_DIRECT.
#[derive(Debug)]
pub struct Buffers {
    base: NonNull<u8>,
    layout: Layout,
    each: usize,
}

impl Buffers {
    /// `count` zeroed buffers of `each` bytes.
    pub fn new(count: usize, each: usize) -> Buffers {
        assert!(count > 0 && each > 0 && each.is_multiple_of(BLOCK_ALIGN as usize));
        let layout = Layout::from_size_align(count * each, BLOCK_ALIGN as usize).expect("a sensible size");
        // SAFETY: the size is not 0, as asserted.
        let base = unsafe { alloc_zeroed(layout) };
        Buffers { base: NonNull::new(base).unwrap_or_else(|| handle_alloc_error(layout)), layout, each }
    }

    /// Address of buffer `index`, for a request.
    pub fn address(&self, index: usize) -> u64 {
        assert!(index < self.layout.size() / self.each);
        self.base.as_ptr() as u64 + (index * self.each) as u64
    }

    /// Buffer `index`, when no request uses it.
    pub fn get_mut(&mut self, index: usize) -> &mut [u8] {
        let start = self.address(index) as *mut u8;
        // SAFETY: inside the allocation, as `address` has asserted; `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start, self.each) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}
