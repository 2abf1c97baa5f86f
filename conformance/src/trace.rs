//! The last calls of a case, as a failure shows them.
//!
//! They are noted in memory shared with the runner, so that they can be read when the case has crashed, hangs, or
//! runs in children of its own. Noting takes no lock and allocates nothing: a signal handler may make the calls, too.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU64, AtomicUsize, Ordering::SeqCst};

use uaio::abi::{AioSigset, IoEvent, Iocb, Timespec};

use crate::aio::Calls;

/// How many calls are kept.
const KEPT: usize = 8;
/// Of an iocb.
const WORDS: usize = size_of::<Iocb>() / 8;

pub const NAMES: [&str; 6] = ["io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents"];
/// How many of the six arguments count.
const ARGUMENTS: [usize; 6] = [2, 1, 3, 3, 5, 6];

/// States of a call.
const MADE: usize = 1;
const RETURNED: usize = 2;

#[repr(C)]
struct Note {
    /// Which call it is, from 1; 0: an empty place.
    number: AtomicUsize,
    state: AtomicUsize,
    name: AtomicUsize,
    arguments: [AtomicUsize; 6],
    result: AtomicIsize,
    /// 1 when `iocb` was read.
    has_iocb: AtomicUsize,
    iocb: [AtomicU64; WORDS],
}

/// Errnos that are told apart.
const ERRNOS: usize = 192;

#[repr(C)]
struct Page {
    made: AtomicUsize,
    /// For each call, a bit for each errno that it has returned.
    errors: [[AtomicU64; ERRNOS / 64]; 6],
    notes: [Note; KEPT],
}

/// The page that calls of this process are noted in.
static CURRENT: AtomicPtr<Page> = AtomicPtr::new(std::ptr::null_mut());
/// What the noted calls are passed to.
static TARGET: OnceLock<Calls> = OnceLock::new();

/// One call, read from the notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub name: &'static str,
    pub arguments: Vec<usize>,
    /// None: it has not returned.
    pub result: Option<isize>,
    /// The first iocb that it was given, as it was before the call.
    pub iocb: Option<Iocb>,
}

/// Memory for the notes of one case at a time.
pub struct Trace(*mut Page);

// SAFETY: the page has atomics only.
unsafe impl Send for Trace {}
// SAFETY: as above.
unsafe impl Sync for Trace {}

impl Trace {
    /// Empty; panics without memory.
    pub fn new() -> Trace {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        let page = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Page>(), prot, flags, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED, "memory for the notes of a case");
        Trace(page.cast())
    }

    /// Notes the calls of this process here from now on.
    pub fn use_here(&self) {
        CURRENT.store(self.0, SeqCst);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let page = self.page();
        page.made.store(0, SeqCst);
        page.notes.iter().for_each(|note| note.number.store(0, SeqCst));
    }

    /// The last calls, oldest first.
    pub fn calls(&self) -> Vec<Seen> {
        let mut notes: Vec<&Note> = self.page().notes.iter().filter(|n| n.number.load(SeqCst) > 0).collect();
        notes.sort_by_key(|n| n.number.load(SeqCst));
        notes.into_iter().map(Note::read).collect()
    }

    /// Which errors which calls have returned, since the notes were made.
    pub fn errors(&self) -> Vec<(&'static str, i32)> {
        let all = (0..NAMES.len()).flat_map(|name| (0..ERRNOS).map(move |errno| (name, errno)));
        let seen = |(name, errno): &(usize, usize)| {
            self.page().errors[*name][errno / 64].load(SeqCst) & (1 << (errno % 64)) != 0
        };
        all.filter(seen).map(|(name, errno)| (NAMES[name], errno as i32)).collect()
    }

    fn page(&self) -> &Page {
        unsafe { &*self.0 }
    }
}

impl Default for Trace {
    fn default() -> Trace {
        Trace::new()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = CURRENT.compare_exchange(self.0, std::ptr::null_mut(), SeqCst, SeqCst);
        unsafe { libc::munmap(self.0.cast(), size_of::<Page>()) };
    }
}

impl Note {
    fn read(&self) -> Seen {
        let name = self.name.load(SeqCst) % NAMES.len();
        let iocb = self.iocb.each_ref().map(|word| word.load(SeqCst));
        Seen {
            name: NAMES[name],
            arguments: self.arguments[..ARGUMENTS[name]].iter().map(|a| a.load(SeqCst)).collect(),
            result: (self.state.load(SeqCst) == RETURNED).then(|| self.result.load(SeqCst)),
            // Any bytes are an iocb.
            iocb: (self.has_iocb.load(SeqCst) == 1).then(|| unsafe { std::mem::transmute(iocb) }),
        }
    }

    fn write(&self, number: usize, name: usize, arguments: [usize; 6], iocb: Option<[u64; WORDS]>) {
        self.state.store(MADE, SeqCst);
        self.name.store(name, SeqCst);
        (0..6).for_each(|i| self.arguments[i].store(arguments[i], SeqCst));
        self.has_iocb.store(usize::from(iocb.is_some()), SeqCst);
        (0..WORDS).for_each(|i| self.iocb[i].store(iocb.map_or(0, |words| words[i]), SeqCst));
        self.number.store(number, SeqCst);
    }
}

/// `target`'s calls, with a note of each.
pub fn noted(target: Calls) -> Calls {
    let _ = TARGET.set(target);
    Calls {
        io_setup: setup,
        io_destroy: destroy,
        io_submit: submit,
        io_cancel: cancel,
        io_getevents: getevents,
        io_pgetevents: pgetevents,
    }
}

fn note(name: usize, arguments: [usize; 6], iocb: usize, call: impl FnOnce(&Calls) -> isize) -> isize {
    let target = TARGET.get().expect("noted() was called");
    let page = CURRENT.load(SeqCst);
    if page.is_null() {
        return call(target);
    }
    let page = unsafe { &*page };
    let number = page.made.fetch_add(1, SeqCst) + 1;
    let note = &page.notes[number % KEPT];
    note.write(number, name, arguments, peek(iocb));
    let result = call(target);
    if result < 0 && result > -(ERRNOS as isize) {
        let errno = result.unsigned_abs();
        page.errors[name][errno / 64].fetch_or(1 << (errno % 64), SeqCst);
    }
    if note.number.load(SeqCst) == number {
        note.result.store(result, SeqCst);
        note.state.store(RETURNED, SeqCst);
    }
    result
}

/// What is at `address`, which may be anything: the kernel looks.
fn peek<T: Copy>(address: usize) -> Option<T> {
    let mut value = std::mem::MaybeUninit::<T>::uninit();
    let here = libc::iovec { iov_base: value.as_mut_ptr().cast(), iov_len: size_of::<T>() };
    let there = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: size_of::<T>() };
    // libaio's functions leave errno alone, and cases look.
    let read = unsafe {
        let errno = *libc::__errno_location();
        let read = libc::process_vm_readv(libc::getpid(), &here, 1, &there, 1, 0);
        *libc::__errno_location() = errno;
        read
    };
    // Numbers and arrays of numbers only: any bytes will do.
    (address != 0 && read == size_of::<T>() as isize).then(|| unsafe { value.assume_init() })
}

unsafe extern "C" fn setup(n: u32, c: *mut usize) -> isize {
    note(0, [n as usize, c as usize, 0, 0, 0, 0], 0, |t| unsafe { (t.io_setup)(n, c) })
}

unsafe extern "C" fn destroy(c: usize) -> isize {
    note(1, [c, 0, 0, 0, 0, 0], 0, |t| unsafe { (t.io_destroy)(c) })
}

unsafe extern "C" fn submit(c: usize, n: isize, p: *const *mut Iocb) -> isize {
    let first = if n > 0 { peek(p as usize).unwrap_or(0) } else { 0 };
    note(2, [c, n as usize, p as usize, 0, 0, 0], first, |t| unsafe { (t.io_submit)(c, n, p) })
}

unsafe extern "C" fn cancel(c: usize, i: *mut Iocb, r: *mut IoEvent) -> isize {
    note(3, [c, i as usize, r as usize, 0, 0, 0], i as usize, |t| unsafe { (t.io_cancel)(c, i, r) })
}

unsafe extern "C" fn getevents(c: usize, m: isize, n: isize, e: *mut IoEvent, t: *const Timespec) -> isize {
    let arguments = [c, m as usize, n as usize, e as usize, t as usize, 0];
    note(4, arguments, 0, |target| unsafe { (target.io_getevents)(c, m, n, e, t) })
}

unsafe extern "C" fn pgetevents(
    c: usize,
    m: isize,
    n: isize,
    e: *mut IoEvent,
    t: *const Timespec,
    s: *const AioSigset,
) -> isize {
    let arguments = [c, m as usize, n as usize, e as usize, t as usize, s as usize];
    note(5, arguments, 0, |target| unsafe { (target.io_pgetevents)(c, m, n, e, t, s) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_addresses_are_not_read() {
        assert_eq!(peek::<u64>(8), None);
        assert_eq!(peek::<u64>(&raw const KEPT_VALUE as usize), Some(7));
    }

    static KEPT_VALUE: u64 = 7;

    #[test]
    fn the_latest_are_kept_and_the_unreturned_one_is_seen() {
        let trace = Trace::new();
        for number in 1..=KEPT + 2 {
            let note = &trace.page().notes[number % KEPT];
            note.write(number, 1, [number, 0, 0, 0, 0, 0], None);
            note.result.store(-22, SeqCst);
            note.state.store(if number == KEPT + 2 { MADE } else { RETURNED }, SeqCst);
        }
        let calls = trace.calls();
        assert_eq!(calls.len(), KEPT);
        assert_eq!((calls[0].arguments[0], calls[0].result), (3, Some(-22)));
        assert_eq!((calls[7].arguments[0], calls[7].result), (KEPT + 2, None));
        trace.clear();
        assert_eq!(trace.calls(), []);
    }
}
