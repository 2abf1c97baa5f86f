//! Kernel contexts that no program knows any more: kept for the next context, or destroyed by a library thread.
//!
//! The host's quota counts them, and a process that ends with one takes 30 ms longer: so a few are kept, and not for long.

use core::sync::atomic::Ordering;

use crate::abi::RingHeader;
use crate::os::lock::QuietLock;
use crate::os::{futex, kernel_aio, thread, time};
use crate::sync::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize};

/// So many are kept.
const KEPT: usize = 4;
/// For so long.
const KEPT_NS: u64 = 1_000_000_000;
/// So many can wait for their destruction; the next one's io_destroy is the kernel's.
const PLACES: usize = 64;

/// A kernel context with nothing in flight, at an address of ours.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) at: usize,
    /// Its index among the kernel's contexts of this process.
    pub(crate) id: u32,
    /// Events that its ring has room for.
    pub(crate) nr: u32,
    pub(crate) tail: u32,
}

impl Parked {
    /// The kernel context whose ring lies at `at`, where only this library knows it.
    pub(super) fn at(at: usize) -> Parked {
        let header = header(at);
        Parked { at, id: header.id, nr: header.nr, tail: header.tail }
    }

    /// Throws away what is in the ring.
    pub(super) fn discard(&self) {
        let head = core::mem::offset_of!(RingHeader, head);
        // SAFETY: a live kernel context's ring, mapped writable, aligned; the kernel expects readers to store there.
        unsafe { ((self.at + head) as *mut u32).write_volatile(header(self.at).tail) };
    }

    /// Requests whose events have not come yet. `accepted`: as [`crate::context::Lane::accepted`]. There are always fewer than
    /// the ring has room for, so the remainder is the number.
    pub(super) fn in_flight(&self, accepted: u64) -> u32 {
        let nr = u64::from(self.nr);
        let tail = u64::from(header(self.at).tail) % nr;
        ((accepted % nr + nr - tail) % nr) as u32
    }
}

fn header(at: usize) -> RingHeader {
    // SAFETY: `at` is the ring of a live kernel context that only this library knows; nobody unmaps it, and any bytes are a
    // valid header. The kernel may be writing: volatile.
    unsafe { (at as *const RingHeader).read_volatile() }
}

/// One place: `at` 0 is free.
#[derive(Debug, Default)]
struct Place {
    at: AtomicUsize,
    since_ns: AtomicU64,
}

/// All of them. Zeroed memory is an empty one.
#[derive(Debug)]
pub(crate) struct Parking {
    /// Held while it is decided whose a context is, so that each is decided once.
    pub(super) choosing: QuietLock,
    /// Guards the places, and the start and the end of the thread.
    lock: QuietLock,
    places: [Place; PLACES],
    /// 1: the library thread runs.
    staffed: AtomicU32,
    /// Changes when there is something new.
    news: AtomicU32,
    /// Whose contexts they are; a child that shares the memory owns no threads.
    pid: AtomicI32,
    /// No kernel context before this time: there was none to be had.
    closed_until_ns: AtomicU64,
}

impl Default for Parking {
    fn default() -> Parking {
        Parking {
            choosing: QuietLock::default(),
            lock: QuietLock::default(),
            places: core::array::from_fn(|_| Place::default()),
            staffed: AtomicU32::new(0),
            news: AtomicU32::new(0),
            pid: AtomicI32::new(0),
            closed_until_ns: AtomicU64::new(0),
        }
    }
}

impl Parking {
    /// Takes note of whose it is.
    pub(crate) fn configure(&self, pid: i32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    /// Whether it is worth to ask for a kernel context.
    pub(super) fn is_open(&self) -> bool {
        let until = self.closed_until_ns.load(Ordering::Relaxed);
        until == 0 || time::now_ns() >= until
    }

    /// There is none to be had for so long.
    pub(super) fn close_for(&self, ns: u64) {
        self.closed_until_ns.store(time::now_ns().saturating_add(ns), Ordering::Relaxed);
    }

    /// A parked context whose ring has room for `nr` events.
    pub(super) fn take(&self, nr: u32) -> Option<Parked> {
        let _quiet = self.lock.acquire();
        let taken = self.places.iter().filter(|place| place.at.load(Ordering::Relaxed) != 0);
        let header = |place: &&Place| header(place.at.load(Ordering::Relaxed));
        // The lowest index, as the kernel gives it.
        let place = taken.filter(|place| header(place).nr == nr).min_by_key(|place| header(place).id)?;
        let parked = Parked::at(place.at.swap(0, Ordering::Relaxed));
        // An event that came after the last look at the former context's ring is nobody's.
        parked.discard();
        Some(parked)
    }

    /// Parks the kernel context at `at`, or destroys it where there is no room for it.
    pub(super) fn keep(&'static self, at: usize) {
        if !self.put(at) {
            kernel_aio::destroy(at);
        }
    }

    fn put(&'static self, at: usize) -> bool {
        let _quiet = self.lock.acquire();
        let Some(place) = self.places.iter().find(|place| place.at.load(Ordering::Relaxed) == 0) else {
            return false;
        };
        if !self.staff() {
            return false;
        }
        place.since_ns.store(time::now_ns(), Ordering::Relaxed);
        place.at.store(at, Ordering::Relaxed);
        self.news.fetch_add(1, Ordering::Release);
        futex::wake_all(&self.news);
        true
    }

    /// Sees to it that the library thread runs. The caller holds the lock.
    fn staff(&'static self) -> bool {
        if self.staffed.load(Ordering::Relaxed) == 0 {
            let started = thread::pid() == self.pid.load(Ordering::Relaxed)
                && thread::spawn(body, core::ptr::from_ref(self) as usize).is_ok();
            self.staffed.store(u32::from(started), Ordering::Relaxed);
        }
        self.staffed.load(Ordering::Relaxed) != 0
    }

    /// The library thread's work.
    fn run(&self) {
        loop {
            let news = self.news.load(Ordering::Acquire);
            match self.next() {
                Next::Destroy(at) => kernel_aio::destroy(at),
                Next::Wait(ns) => drop(futex::wait(&self.news, news, time::Deadline::after_ns(ns))),
                Next::End => return,
            }
        }
    }

    fn next(&self) -> Next {
        let _quiet = self.lock.acquire();
        let taken = || self.places.iter().filter(|place| place.at.load(Ordering::Relaxed) != 0);
        let Some(oldest) = taken().min_by_key(|place| place.since_ns.load(Ordering::Relaxed)) else {
            self.staffed.store(0, Ordering::Relaxed);
            return Next::End;
        };
        let age = time::now_ns().saturating_sub(oldest.since_ns.load(Ordering::Relaxed));
        if age >= KEPT_NS || taken().count() > KEPT {
            return Next::Destroy(oldest.at.swap(0, Ordering::Relaxed));
        }
        Next::Wait(KEPT_NS - age)
    }
}

/// What the library thread does next.
enum Next {
    Destroy(usize),
    Wait(u64),
    End,
}

/// The library thread's whole life.
extern "C" fn body(argument: *mut libc::c_void) -> *mut libc::c_void {
    thread::settle(b"uaio-parking\0\0\0\0");
    // Where that is forbidden, it shares the program's table, of which it uses nothing.
    let _ = thread::leave_descriptor_table();
    // SAFETY: `staff` passes its own address; a parking is never unmapped.
    let parking: &'static Parking = unsafe { &*argument.cast_const().cast() };
    parking.run();
    core::ptr::null_mut()
}
