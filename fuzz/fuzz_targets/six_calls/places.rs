//! Addresses and descriptors: made once, and the only ones that the sequences use.

use std::ffi::CStr;
use std::sync::OnceLock;

use crate::bytes::Bytes;

const PAGE: usize = 4096;
/// Bytes of the area that requests read and write.
const DATA: usize = 16 * PAGE;

/// The fixed places.
pub struct Places {
    data: usize,
    none: usize,
    read_only: usize,
    unmapped: usize,
    files: Vec<i32>,
    eventfds: Vec<i32>,
}

fn map(len: usize, prot: i32) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { libc::mmap(core::ptr::null_mut(), len, prot, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    at as usize
}

fn open(path: &CStr, flags: i32) -> i32 {
    // SAFETY: a string that ends.
    unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) }
}

fn scratch(flags: i32) -> i32 {
    let mut name = *b"/var/tmp/uaio-fuzz-XXXXXX\0";
    // SAFETY: the template ends, and is written in place.
    unsafe { libc::close(libc::mkstemp(name.as_mut_ptr().cast())) };
    let path = CStr::from_bytes_with_nul(&name).unwrap();
    let fd = open(path, flags);
    // SAFETY: a string that ends.
    unsafe { (libc::unlink(path.as_ptr()), libc::ftruncate(fd, 1 << 20)) };
    fd
}

/// Both ends of a pipe and of a socket pair.
fn streams(flags: i32) -> Vec<i32> {
    let (mut pipe, mut pair) = ([0; 2], [0; 2]);
    let kind = libc::SOCK_STREAM | if flags == 0 { 0 } else { libc::SOCK_NONBLOCK };
    // SAFETY: two descriptors each.
    unsafe {
        assert_eq!(libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC | flags), 0);
        assert_eq!(libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr()), 0);
    }
    [pipe, pair].concat()
}

impl Places {
    pub fn get() -> &'static Places {
        static ALL: OnceLock<Places> = OnceLock::new();
        ALL.get_or_init(Places::make)
    }

    fn make() -> Places {
        let rw = libc::PROT_READ | libc::PROT_WRITE;
        let data = map(DATA + PAGE, rw);

        // SAFETY: pages that were mapped a moment ago.
        unsafe {
            libc::mprotect((data + DATA) as *mut _, PAGE, libc::PROT_NONE);
        }

        // Low, where no mapping of the kernel's choice goes.
        let unmapped = 0x20000;
        let (none, read_only) = (map(PAGE, libc::PROT_NONE), map(PAGE, libc::PROT_READ));
        Places { data, none, read_only, unmapped, files: files(), eventfds: eventfds() }
    }

    /// Any address: none, a hole, a page that may not be touched, one of the kernel's, one that is valid for
    /// some bytes only.
    pub fn bad(&self, bytes: &mut Bytes) -> usize {
        let half = self.data + DATA - 1 - bytes.below(100);
        let pool =
            [0, 1, self.none, self.read_only, half, 0xffff_8000_0000_0000, usize::MAX - 7, 0x8000_0000_0000 - 8];
        bytes.one_of(&pool)
    }

    /// Where requests read and write: mostly good.
    pub fn buffer(&self, bytes: &mut Bytes) -> usize {
        match bytes.below(8) {
            0 => self.bad(bytes),
            1 => self.data + bytes.below(DATA),
            page => self.data + page * PAGE,
        }
    }

    /// No context: a hole, a page, a page with bytes that requests have put there.
    pub fn no_context(&self, bytes: &mut Bytes) -> usize {
        let pool = [self.data, self.data + PAGE, self.none, self.unmapped & !(PAGE - 1), self.data + 8];
        if bytes.rarely(2) { self.bad(bytes) } else { bytes.one_of(&pool) }
    }

    pub fn file(&self, bytes: &mut Bytes) -> i32 {
        bytes.one_of(&self.files)
    }

    pub fn eventfd(&self, bytes: &mut Bytes) -> i32 {
        if bytes.rarely(4) { self.file(bytes) } else { bytes.one_of(&self.eventfds) }
    }

    /// Lets waiting readers and writers of the streams go on.
    pub fn stir(&self, bytes: &mut Bytes) {
        let fd = self.file(bytes);
        let mut few = [0u8; 64];
        let mut poll = libc::pollfd { fd, events: libc::POLLIN | libc::POLLOUT, revents: 0 };
        // SAFETY: one descriptor, which is only looked at.
        unsafe { libc::poll(&mut poll, 1, 0) };
        // SAFETY: 64 bytes.
        unsafe {
            if poll.revents & libc::POLLOUT != 0 {
                libc::write(fd, few.as_ptr().cast(), 8);
            } else if poll.revents & libc::POLLIN != 0 {
                libc::read(fd, few.as_mut_ptr().cast(), few.len());
            }
        }
    }
}

fn eventfds() -> Vec<i32> {
    // SAFETY: makes descriptors.
    (0..2).map(|_| unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).collect()
}

fn files() -> Vec<i32> {
    let mut all = vec![
        scratch(libc::O_RDWR),
        scratch(libc::O_RDWR | libc::O_DIRECT),
        scratch(libc::O_RDWR | libc::O_SYNC),
        scratch(libc::O_RDONLY),
        scratch(libc::O_WRONLY | libc::O_APPEND),
        open(c"/dev/null", libc::O_RDWR),
        open(c"/dev/zero", libc::O_RDWR),
        open(c"/dev/full", libc::O_RDWR),
        open(c"/dev/urandom", libc::O_RDONLY),
        open(c"/proc/self/status", libc::O_RDONLY),
        open(c"/", libc::O_RDONLY | libc::O_DIRECTORY),
        open(c"/", libc::O_PATH),
        -1,
        i32::MAX,
    ];
    all.extend(eventfds());
    all.extend(streams(libc::O_NONBLOCK));
    // Inline, a request to one of these would hold io_submit for ever, as the kernel's does.
    if std::env::var("UAIO_ENGINE").is_ok_and(|engine| engine != "inline") {
        all.extend(streams(0));
    }
    all
}
