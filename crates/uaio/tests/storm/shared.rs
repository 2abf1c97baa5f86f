//! A storm over contexts that belong to no thread: each is set up, used and destroyed by whoever comes, and an address that a
//! thread has just looked up may be another context's when its call gets there.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

/// Contexts that there are at a time.
const CONTEXTS: usize = 6;
/// Blocks of a thread's file. Each is written once in a round, so that the file tells which writes were performed.
const BLOCKS: usize = 256;
/// More pieces than travel without memory of their own.
const PIECES: usize = 9;
const BATCH: usize = 8;
const PIPE_READ: u64 = 16;
/// `data` of a POLL; of the others it is the length.
const POLL: u64 = u64::MAX;
const EINVAL: isize = -(libc::EINVAL as isize);
const EAGAIN: isize = -(libc::EAGAIN as isize);
const EINPROGRESS: isize = -(libc::EINPROGRESS as isize);

/// What the threads of a round share.
#[derive(Default)]
struct Sky {
    /// [`Entry`]s. A context may be gone already, and another may have its address.
    table: [AtomicUsize; CONTEXTS],
    /// Contexts that there have been.
    lives: AtomicUsize,
    over: AtomicBool,
    /// Threads that have not seen that it is over.
    busy: AtomicUsize,
    /// Threads in io_getevents without time-out; the others have to be enough to wake them.
    asleep: AtomicUsize,
    threads: usize,
}

/// A word of the table: the address of a context, and a number that tells it from another at that address; 0: none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(usize);

impl Entry {
    const PAGE_BITS: u32 = 12;
    const BITS: u32 = 36;

    fn new(ctx: usize, life: usize) -> Entry {
        Entry(ctx >> Entry::PAGE_BITS | life << Entry::BITS)
    }

    fn ctx(self) -> usize {
        (self.0 & ((1 << Entry::BITS) - 1)) << Entry::PAGE_BITS
    }
}

impl Sky {
    /// Destroys what is in the table.
    fn clear(&self) {
        for place in &self.table {
            end(Entry(place.swap(0, Ordering::SeqCst)).ctx());
        }
    }
}

fn end(ctx: usize) {
    let answer = unsafe { io_destroy(ctx) };
    assert!([0, EINVAL].contains(&answer), "io_destroy: {answer}");
}

fn check(event: &IoEvent) {
    let good = match event.data {
        POLL => event.res == 0 || event.res & 1 == 1,
        PIPE_READ => (1..=PIPE_READ as i64).contains(&event.res),
        length => event.res == length as i64,
    };
    assert!(good && event.res2 == 0, "{event:?}");
}

/// A thread of the storm, its memory and its files.
struct Author<'a> {
    sky: &'a Sky,
    random: Random,
    scratch: Scratch,
    stamp: Box<Page>,
    into: Vec<Page>,
    iocbs: Vec<Iocb>,
    /// Blocks before this one are written, or accepted to be.
    written: usize,
    /// Accepted requests that name the eventfd.
    told: u64,
    eventfd: i32,
    source: (i32, i32),
    /// Gets nothing ever.
    silent: (i32, i32),
}

impl<'a> Author<'a> {
    fn new(sky: &'a Sky, seed: u64) -> Option<Author<'a>> {
        let mut random = Random(seed);
        let scratch = Scratch::new(&format!("shared-{seed:x}"), random.below(2) == 0)?;
        std::fs::write(scratch.path(), vec![0u8; BLOCKS * 4096]).unwrap();
        let source = pipe();
        assert_eq!(unsafe { libc::fcntl(source.1, libc::F_SETFL, libc::O_NONBLOCK) }, 0);
        Some(Author {
            stamp: Box::new(Page([1 + random.below(200) as u8; 4096])),
            into: (0..PIECES).map(|_| Page([0; 4096])).collect(),
            iocbs: vec![poll_in(source.0, POLL); BATCH],
            eventfd: unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) },
            silent: pipe(),
            written: 0,
            told: 0,
            sky,
            random,
            scratch,
            source,
        })
    }

    fn run(mut self) -> Self {
        while !self.sky.over.load(Ordering::SeqCst) {
            self.act();
        }
        self.sky.busy.fetch_sub(1, Ordering::SeqCst);
        self
    }

    fn act(&mut self) {
        let place = &self.sky.table[self.random.below(CONTEXTS as u64) as usize];
        let entry = Entry(place.load(Ordering::SeqCst));
        let ctx = entry.ctx();
        match self.random.below(400) {
            0..150 => self.submit(ctx),
            150..240 => _ = self.reap(ctx, Some(self.random.0 as i64 & 0x3_ffff)),
            240..270 => _ = self.reap(ctx, Some(0)),
            270..300 => self.sleep(ctx),
            300..340 => self.cancel(ctx),
            // Half of the time others go on with an address that is nobody's, or soon another context's.
            340..350 => end(ctx),
            350..360 => end(Entry(place.swap(0, Ordering::SeqCst)).ctx()),
            360..399 => self.renew(place, entry),
            _ => self.fork(),
        }
    }

    /// A new context where there is none.
    fn renew(&mut self, place: &AtomicUsize, former: Entry) {
        if self.reap(former.ctx(), Some(0)) != EINVAL {
            return;
        }
        let mut ctx = 0;
        let answer = unsafe { io_setup(1 + self.random.below(64) as u32, &mut ctx) };
        assert!([0, EAGAIN].contains(&answer), "io_setup: {answer}");
        if answer != 0 {
            return;
        }
        let new = Entry::new(ctx, self.sky.lives.fetch_add(1, Ordering::SeqCst));
        assert_eq!(new.ctx(), ctx);
        if place.compare_exchange(former.0, new.0, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            end(ctx);
        }
    }

    fn submit(&mut self, ctx: usize) {
        if pipes_may_block() {
            self.fill(&[0; BATCH * PIPE_READ as usize]);
        }
        let count = 1 + self.random.below(BATCH as u64) as usize;
        let mut pieces = [[Iovec { base: 0, len: 4096 }; PIECES]; BATCH];
        let mut blocks = [0; BATCH];
        let mut next = self.written;
        for index in 0..count {
            let (iocb, takes) = self.request(next, &mut pieces[index]);
            (blocks[index], next) = (takes, next + takes);
            let told = self.random.below(3) == 0;
            let resfd = Iocb { flags: IOCB_FLAG_RESFD, resfd: self.eventfd as u32, ..iocb };
            self.iocbs[index] = if told { resfd } else { iocb };
        }
        let accepted = submit(ctx, &mut self.iocbs[..count]);
        // They are the program's again.
        pieces.fill([Iovec { base: 8, len: 1 }; PIECES]);
        assert!((1..=count as isize).contains(&accepted) || [EINVAL, EAGAIN].contains(&accepted), "{accepted}");
        for (iocb, takes) in self.iocbs.iter().zip(blocks).take(accepted.max(0) as usize) {
            self.written += takes;
            self.told += u64::from(iocb.flags);
        }
        let wakes = self.random.below(64) as usize;
        self.fill(&[0; 64][..wakes]);
    }

    /// A request of any kind, and how many blocks from `next` it writes.
    fn request(&mut self, next: usize, pieces: &mut [Iovec; PIECES]) -> (Iocb, usize) {
        let fd = self.scratch.file.as_raw_fd();
        let (stamp, into) = (self.stamp.0.as_mut_ptr(), self.into[0].0.as_mut_ptr());
        let (at, free) = (next as i64 * 4096, BLOCKS - next);
        let from = self.random.below((BLOCKS - PIECES) as u64) as i64 * 4096;
        let vector = (pieces.as_mut_ptr().cast::<u8>(), PIECES);
        match self.random.below(9) {
            0 if free > 0 => (rw(IOCB_CMD_PWRITE, fd, stamp, 4096, at, 4096), 1),
            1 if free >= PIECES => {
                pieces.iter_mut().for_each(|piece| piece.base = stamp as usize);
                (rw(IOCB_CMD_PWRITEV, fd, vector.0, vector.1, at, 4096 * PIECES as u64), PIECES)
            }
            0..4 => (rw(IOCB_CMD_PREAD, fd, into, 4096, from, 4096), 0),
            4 => {
                pieces
                    .iter_mut()
                    .zip(&mut self.into)
                    .for_each(|(piece, page)| piece.base = page.0.as_mut_ptr() as usize);
                (rw(IOCB_CMD_PREADV, fd, vector.0, vector.1, from, 4096 * PIECES as u64), 0)
            }
            5 => (rw(IOCB_CMD_PREAD, self.source.0, into, PIPE_READ as usize, 0, PIPE_READ), 0),
            6 => (Iocb { opcode: IOCB_CMD_FDSYNC, fildes: fd as u32, ..Iocb::default() }, 0),
            7 => (poll_in(self.source.0, POLL), 0),
            _ => (poll_in(self.silent.0, POLL), 0),
        }
    }

    fn fill(&self, bytes: &[u8]) {
        unsafe { libc::write(self.source.1, bytes.as_ptr().cast(), bytes.len()) };
    }

    /// What is there within so many nanoseconds, or at all; the answer.
    fn reap(&mut self, ctx: usize, ns: Option<i64>) -> isize {
        let mut events = [IoEvent::default(); 64];
        let time = ns.map(|nsec| Timespec { sec: 0, nsec });
        let time = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        let mask = 1u64 << (libc::SIGUSR1 - 1);
        let set = AioSigset { sigmask: &raw const mask as usize, sigsetsize: 8 };
        let least = 1 + self.random.below(20) as isize;
        let answer = match self.random.below(4) {
            0 => unsafe { io_pgetevents(ctx, least, 64, events.as_mut_ptr(), time, &set) },
            _ => unsafe { io_getevents(ctx, least, 64, events.as_mut_ptr(), time) },
        };
        assert!((0..=64).contains(&answer) || answer == EINVAL, "io_getevents: {answer}");
        events[..answer.max(0) as usize].iter().for_each(check);
        answer
    }

    /// Without time-out: who destroys the context wakes this thread, if nothing else does.
    fn sleep(&mut self, ctx: usize) {
        let awake = self.sky.threads - self.sky.asleep.fetch_add(1, Ordering::SeqCst);
        if awake > self.sky.threads / 2 {
            assert_ne!(self.reap(ctx, None), 0, "nothing, and no time-out");
        }
        self.sky.asleep.fetch_sub(1, Ordering::SeqCst);
    }

    fn cancel(&mut self, ctx: usize) {
        let victim = &raw mut self.iocbs[self.random.below(BATCH as u64) as usize];
        let answer = unsafe { io_cancel(ctx, victim, core::ptr::null_mut()) };
        assert!([EINVAL, EINPROGRESS].contains(&answer), "io_cancel: {answer}");
    }

    fn fork(&self) {
        let status = in_child(|| {
            let inherited = self.sky.table.iter().map(|place| Entry(place.load(Ordering::SeqCst)).ctx());
            inherited.map(|ctx| unsafe { io_destroy(ctx) }).all(|answer| answer == EINVAL)
                && can_read_in_own_context()
        });
        assert_eq!(status, 0);
    }

    /// Everything is destroyed. Accepted writes are on file, others are not, and each request has told its eventfd once.
    fn check_files(&mut self) {
        let file = std::fs::read(self.scratch.path()).unwrap();
        let (written, rest) = file.split_at(self.written * 4096);
        assert!(written.iter().all(|byte| *byte == self.stamp.0[0]), "an accepted write is not on file");
        assert!(rest.iter().all(|byte| *byte == 0), "a write that was not accepted is on file");
        // Decision A25: the last may be a moment late.
        assert_eq!(counted(self.eventfd, self.told), self.told, "the eventfd's count");
        self.into.iter_mut().for_each(|page| page.0.fill(0xdb));
    }

    /// Some time after `check_files`.
    fn check_memory(&self) {
        assert!(self.into.iter().all(|page| page.0 == [0xdb; 4096]), "a buffer changed after io_destroy");
        let mut count = 0u64;
        assert_eq!(unsafe { libc::read(self.eventfd, (&raw mut count).cast(), 8) }, -1, "told too often: {count}");
        for fd in [self.eventfd, self.source.0, self.source.1, self.silent.0, self.silent.1] {
            unsafe { libc::close(fd) };
        }
    }
}

/// With `auto`, a context may become the kernel's by its first requests.
fn pipes_may_block() -> bool {
    blocks_on_pipes() || engine() == "auto"
}

fn round(seed: u64, threads: u64, duration: Duration) -> u64 {
    let sky = Sky { threads: threads as usize, busy: AtomicUsize::new(threads as usize), ..Sky::default() };
    let authors = (0..threads).filter_map(|t| Author::new(&sky, seed ^ (t << 32)));
    let mut authors: Vec<Author> = authors.collect();
    if authors.len() < threads as usize {
        return 0;
    }
    std::thread::scope(|s| {
        let all: Vec<_> = authors.drain(..).map(|author| s.spawn(|| author.run())).collect();
        std::thread::sleep(duration);
        sky.over.store(true, Ordering::SeqCst);
        while sky.busy.load(Ordering::SeqCst) > 0 && !all.iter().all(|thread| thread.is_finished()) {
            sky.clear();
            std::thread::sleep(Duration::from_millis(1));
        }
        authors = all.into_iter().map(|thread| thread.join().unwrap()).collect();
    });
    sky.clear();
    authors.iter_mut().for_each(Author::check_files);
    authors.iter().for_each(Author::check_memory);
    sky.lives.load(Ordering::SeqCst) as u64
}

fn blow(seed: u64, threads: u64, duration: Duration) -> u64 {
    let until = Instant::now() + duration;
    let (mut random, mut lives) = (Random(seed), 0);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        lives += round(random.next(), threads, left.min(Duration::from_millis(500)));
    }
    lives
}

#[test]
fn contexts_that_all_threads_share() {
    // io_pgetevents keeps its timers.
    on_every_engine("shared::contexts_that_all_threads_share", || storm(blow, 1 + 16));
}
