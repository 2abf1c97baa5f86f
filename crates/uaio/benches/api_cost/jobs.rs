//! The jobs of `uaio bench` with 32 requests in flight.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

const BLOCK: usize = 4096;
/// Blocks of the file: 64 MiB.
const BLOCKS: u64 = 16 << 10;

/// What all jobs read and write.
pub struct Ground {
    place: tempfile::NamedTempFile,
}

impl Ground {
    pub fn new() -> Ground {
        let place = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
        std::fs::write(place.path(), vec![1u8; BLOCK * BLOCKS as usize]).unwrap();
        place.as_file().sync_all().unwrap();
        Ground { place }
    }

    fn open(&self, flags: i32) -> Option<File> {
        File::options().read(true).write(true).custom_flags(flags).open(self.place.path()).ok()
    }
}

/// One job.
pub struct Job {
    pub name: &'static str,
    pub file: File,
    pub write: bool,
    /// Bytes of one request.
    pub len: usize,
    /// Submitted at once.
    pub batch: usize,
    /// It sleeps in epoll_wait.
    pub in_loop: bool,
    /// Nothing is in the page cache when it begins.
    pub cold: bool,
    pub blocks: u64,
    /// Of one sample.
    pub requests: usize,
    random: AtomicU64,
}

pub fn all(ground: &Ground) -> Vec<Job> {
    let plain = |name, file, requests| Job {
        name,
        file,
        write: false,
        len: BLOCK,
        batch: 16,
        in_loop: false,
        cold: false,
        blocks: BLOCKS,
        requests,
        random: AtomicU64::new(0x2545_f491_4f6c_dd1d),
    };
    let (zero, buffered) = (File::open("/dev/zero").unwrap(), || ground.open(0).unwrap());
    let mut jobs = vec![
        Job { len: 512, blocks: 1, ..plain("zero-read qd32, batch 16", zero, 16_000) },
        plain("warm-read qd32, batch 16", buffered(), 8_000),
        Job { write: true, blocks: 4096, ..plain("buffered-write qd32, batch 16", buffered(), 8_000) },
        Job { batch: 1, cold: true, ..plain("submit-latency qd32", buffered(), 500) },
    ];
    // Not every file system has it.
    let direct = ground.open(libc::O_DIRECT);
    jobs.extend(direct.map(|file| Job { batch: 1, in_loop: true, ..plain("event-loop qd32", file, 500) }));
    jobs
}

impl Job {
    /// Before each sample, unmeasured.
    pub fn rest(&self) {
        let fd = self.file.as_raw_fd();
        if self.cold {
            unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_RANDOM) };
            unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
        }
    }

    /// Where the next request is.
    pub fn offset(&self) -> u64 {
        let mut random = self.random.load(Ordering::Relaxed);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.random.store(random, Ordering::Relaxed);
        random % self.blocks * BLOCK as u64
    }

    /// Submitted at once when so many have been submitted of `requests`.
    pub fn next_batch(&self, submitted: usize, requests: usize) -> usize {
        self.batch.min(requests - submitted)
    }
}

/// An epoll that watches one descriptor.
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new(watched: &impl AsRawFd) -> Epoll {
        let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        let fd = watched.as_raw_fd();
        assert_eq!(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) }, 0);
        Epoll(epoll)
    }

    pub fn wait(&self) {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        assert_eq!(unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, -1) }, 1);
    }
}
