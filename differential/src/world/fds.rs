//! The descriptors that every sequence starts with, by name.

use std::path::Path;

use crate::sys;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// A descriptor. Its number stays; what it names can be closed or replaced.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Fd { $($(#[$doc])* $name),* }
        /// All of them, in order.
        pub const ALL: &[Fd] = &[$(Fd::$name),*];
    };
}

names! {
    /// File A, buffered.
    ARdWr, ARdOnly, AWrOnly, AAppend, ASync,
    /// File B, O_DIRECT but for the last.
    BDirect, BDirectRead, BDirectAppend, BDirectSync, BBuffered,
    /// A file on tmpfs.
    Memory,
    PipeR, PipeW, PipeNbR, PipeNbW,
    SockA, SockB, SockNbA, SockNbB,
    /// Eventfds that are read and polled.
    Count, CountNb,
    /// Eventfds that are signalled: a plain one, and a non-blocking semaphore.
    ResA, ResB,
    Terminal, Master,
    Directory, PathOnly, Null, Full, Zero, Epoll, Timer, ProcStatus,
    /// Numbers that are no descriptors.
    Closed, Negative,
}

/// Size of files A, B and of the one on tmpfs, bytes.
pub const SIZES: [usize; 3] = [20_000, 32_768, 9_000];

impl Fd {
    /// Which file with contents, if any: 0 to 2.
    pub fn inode(self) -> Option<usize> {
        match self {
            Fd::ARdWr | Fd::ARdOnly | Fd::AWrOnly | Fd::AAppend | Fd::ASync => Some(0),
            Fd::BDirect | Fd::BDirectRead | Fd::BDirectAppend | Fd::BDirectSync | Fd::BBuffered => Some(1),
            Fd::Memory => Some(2),
            _ => None,
        }
    }

    pub fn direct(self) -> bool {
        matches!(self, Fd::BDirect | Fd::BDirectRead | Fd::BDirectAppend | Fd::BDirectSync)
    }

    pub fn append(self) -> bool {
        matches!(self, Fd::AAppend | Fd::BDirectAppend)
    }

    pub fn dsync(self) -> bool {
        matches!(self, Fd::ASync | Fd::BDirectSync)
    }

    /// The other end of a pipe, socket or terminal.
    pub fn peer(self) -> Option<Fd> {
        Some(match self {
            Fd::PipeR => Fd::PipeW,
            Fd::PipeW => Fd::PipeR,
            Fd::PipeNbR => Fd::PipeNbW,
            Fd::PipeNbW => Fd::PipeNbR,
            Fd::SockA => Fd::SockB,
            Fd::SockB => Fd::SockA,
            Fd::SockNbA => Fd::SockNbB,
            Fd::SockNbB => Fd::SockNbA,
            Fd::Terminal => Fd::Master,
            Fd::Master => Fd::Terminal,
            _ => return None,
        })
    }

    /// What may wait for somebody else.
    pub fn stream(self) -> bool {
        self.peer().is_some() || matches!(self, Fd::Count | Fd::CountNb)
    }

    /// A read or write of it can block.
    pub fn blocking(self) -> bool {
        use Fd::*;
        matches!(self, PipeR | PipeW | SockA | SockB | Count | Terminal)
    }
}

/// Opens everything in `dir`; the numbers, in the order of [`ALL`].
pub fn open_all(dir: &Path) -> Vec<i32> {
    let mut made = Pairs::default();
    ALL.iter().map(|fd| open(*fd, dir, &mut made)).collect()
}

/// Second ends that wait for their turn.
#[derive(Default)]
struct Pairs(Vec<(Fd, i32)>);

impl Pairs {
    fn first(&mut self, second: Fd, ends: [i32; 2]) -> i32 {
        self.0.push((second, ends[1]));
        ends[0]
    }

    fn second(&mut self, fd: Fd) -> i32 {
        self.0.iter().find(|(name, _)| *name == fd).expect("the first end comes first").1
    }
}

fn open(fd: Fd, dir: &Path, made: &mut Pairs) -> i32 {
    use libc::{O_APPEND, O_DIRECT, O_DSYNC, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_WRONLY};
    let at = |name: &str, flags| sys::open(&dir.join(name), flags);
    let dev = |path: &str, flags| sys::open(Path::new(path), flags);
    match fd {
        Fd::ARdWr => at("a", O_RDWR),
        Fd::ARdOnly => at("a", O_RDONLY),
        Fd::AWrOnly => at("a", O_WRONLY),
        Fd::AAppend => at("a", O_RDWR | O_APPEND),
        Fd::ASync => at("a", O_RDWR | O_DSYNC),
        Fd::BDirect => at("b", O_RDWR | O_DIRECT),
        Fd::BDirectRead => at("b", O_RDONLY | O_DIRECT),
        Fd::BDirectAppend => at("b", O_RDWR | O_DIRECT | O_APPEND),
        Fd::BDirectSync => at("b", O_RDWR | O_DIRECT | O_DSYNC),
        Fd::BBuffered => at("b", O_RDWR),
        Fd::Memory => memory_file(),
        Fd::PipeR => made.first(Fd::PipeW, sys::pipe(0)),
        Fd::PipeNbR => made.first(Fd::PipeNbW, sys::pipe(O_NONBLOCK)),
        Fd::SockA => made.first(Fd::SockB, sys::socket_pair(0)),
        Fd::SockNbA => made.first(Fd::SockNbB, sys::socket_pair(libc::SOCK_NONBLOCK)),
        Fd::Terminal => {
            let [master, slave] = sys::terminal();
            made.first(Fd::Master, [slave, master])
        }
        Fd::PipeW | Fd::PipeNbW | Fd::SockB | Fd::SockNbB | Fd::Master => made.second(fd),
        Fd::Count | Fd::ResA => sys::eventfd(0),
        Fd::CountNb => sys::eventfd(libc::EFD_NONBLOCK),
        Fd::ResB => sys::eventfd(libc::EFD_NONBLOCK | libc::EFD_SEMAPHORE),
        Fd::Directory => sys::open(dir, O_RDONLY),
        Fd::PathOnly => at("a", O_PATH),
        Fd::Null => dev("/dev/null", O_RDWR),
        Fd::Full => dev("/dev/full", O_RDWR),
        Fd::Zero => dev("/dev/zero", O_RDWR),
        Fd::Epoll => sys::epoll(),
        Fd::Timer => sys::timer(),
        Fd::ProcStatus => dev("/proc/self/status", O_RDONLY),
        Fd::Closed => 300,
        Fd::Negative => -1,
    }
}

fn memory_file() -> i32 {
    let fd = sys::memory_file();
    sys::write_at(fd, &pattern(2, SIZES[2]), 0);
    fd
}

/// Bytes of a pattern that count up.
const ROW: usize = 64;

/// The bytes that `what` starts with.
pub fn pattern(what: usize, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len.next_multiple_of(ROW));
    for row in 0..len.div_ceil(ROW) {
        let first = (row * (ROW + 7) + what * 31) as u8;
        bytes.extend((0..ROW as u8).map(|i| first.wrapping_add(i)));
    }
    bytes.truncate(len);
    bytes
}

/// Makes files A and B. B is written past the page cache, so that its blocks exist and are clean.
pub fn make_files(dir: &Path) {
    std::fs::write(dir.join("a"), pattern(0, SIZES[0])).expect("file a");
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_DIRECT;
    let fd = sys::open(&dir.join("b"), flags);
    assert!(fd >= 0, "O_DIRECT is needed in {}: errno {}", dir.display(), sys::errno());
    let page = sys::map(SIZES[1]);
    sys::fill(page, &pattern(1, SIZES[1]));
    let written = write_page(fd, page);
    assert_eq!(written, SIZES[1] as isize, "file b");
    sys::unmap(page, SIZES[1]);
    sys::close(fd);
}

fn write_page(fd: i32, page: usize) -> isize {
    // SAFETY: the mapping has that many bytes.
    unsafe { libc::pwrite(fd, page as *const libc::c_void, SIZES[1], 0) }
}
