//! The contexts of one sequence, and what must be true of each answer.

use std::collections::HashMap;
use std::sync::OnceLock;

use uaio::abi::*;
use uaio::entry::*;

use crate::bytes::Bytes;
use crate::places::Places;

const CONTEXTS: usize = 3;
const SIZES: [u32; 10] = [1, 2, 31, 127, 128, 1000, 0, 4_194_304, 4_194_305, u32::MAX];

/// A context as the program knows it.
#[derive(Default)]
struct Known {
    address: usize,
    id: u32,
    /// `data` and iocb of the requests whose event has not come.
    open: HashMap<u64, u64>,
    /// The program has written to the ring: events may be lost or come again.
    scribbled: bool,
}

pub struct World {
    places: &'static Places,
    contexts: [Known; CONTEXTS],
    former: usize,
    next_data: u64,
    /// What io_cancel may name.
    kept: Vec<Vec<Iocb>>,
}

/// Fails on an errno that the call does not have.
fn check(call: &str, answer: isize, errors: &[i32]) {
    if trace() {
        eprintln!("{call} = {answer}");
    }
    assert!(answer >= 0 || errors.contains(&(-answer as i32)), "{call}: {answer}");
}

/// Whether to tell what is done: `UAIO_FUZZ_TRACE`.
fn trace() -> bool {
    static TRACE: OnceLock<bool> = OnceLock::new();
    *TRACE.get_or_init(|| std::env::var_os("UAIO_FUZZ_TRACE").is_some())
}

impl World {
    pub fn new() -> Self {
        World { places: Places::get(), contexts: Default::default(), former: 0, next_data: 1, kept: Vec::new() }
    }

    fn address(&self, which: usize, bytes: &mut Bytes) -> usize {
        match bytes.below(16) {
            0 => self.former,
            1 => self.places.no_context(bytes),
            2 => self.contexts[which].address.wrapping_add(8),
            _ => self.contexts[which].address,
        }
    }

    pub fn set_up(&mut self, bytes: &mut Bytes) {
        let size = bytes.one_of(&SIZES);
        if bytes.rarely(8) {
            return self.set_up_somewhere(size, bytes);
        }
        let known = &mut self.contexts[bytes.below(CONTEXTS)];
        let mut place = known.address;
        // SAFETY: the place is a variable.
        let answer = unsafe { io_setup(size, &mut place) };
        // ENOSYS: io_uring was forced, and somebody has forbidden it meanwhile.
        check("io_setup", answer, &[libc::EINVAL, libc::EAGAIN, libc::ENOMEM, libc::ENOSYS]);
        if answer == 0 {
            assert_eq!(known.address, 0);
            if trace() {
                eprintln!("{place:x}");
            }
            // SAFETY: a new ring.
            let header = unsafe { *(place as *const RingHeader) };
            assert_eq!((header.magic, header.head, header.tail), (RING_MAGIC, 0, 0));
            *known = Known { address: place, id: header.id, ..Known::default() };
        }
    }

    /// The place may be good enough: then there is a context, which goes at once.
    fn set_up_somewhere(&mut self, size: u32, bytes: &mut Bytes) {
        let place = self.places.bad(bytes) as *mut ContextId;
        // SAFETY: whatever is there may be overwritten.
        let answer = unsafe { io_setup(size, place) };
        check("io_setup", answer, &[libc::EFAULT, libc::EINVAL, libc::EAGAIN, libc::ENOSYS]);
        if answer == 0 {
            // SAFETY: it was written a moment ago.
            assert_eq!(unsafe { io_destroy(place.read_unaligned()) }, 0);
            // SAFETY: as above; so that the next try finds 0.
            unsafe { place.write_unaligned(0) };
        }
    }

    pub fn destroy(&mut self, bytes: &mut Bytes) {
        let which = bytes.below(CONTEXTS);
        let address = self.address(which, bytes);
        // SAFETY: any number will do.
        let answer = unsafe { io_destroy(address) };
        if trace() {
            eprint!("{address:x} ");
        }
        check("io_destroy", answer, &[libc::EINVAL]);
        for known in &mut self.contexts {
            if answer == 0 && known.address == address {
                self.former = address;
                *known = Known::default();
            }
        }
    }

    fn iocb(&mut self, bytes: &mut Bytes, arrays: &mut Vec<Vec<Iovec>>) -> Iocb {
        let opcode = bytes.one_of(&[0, 1, 7, 8, 2, 3, 5, 0, 1, 6, 4, 9, 0xffff]);
        self.next_data += 1;
        let mut iocb = Iocb {
            data: self.next_data,
            opcode,
            fildes: self.places.file(bytes) as u32,
            buf: self.places.buffer(bytes) as u64,
            nbytes: bytes.one_of(&[0, 1, 512, 4096, 8192, 65536, 1 << 31, u64::MAX, i64::MAX as u64]),
            offset: bytes.one_of(&[0, 1, 512, 4096, 1 << 20, 1 << 40, -1, i64::MIN, i64::MAX, i64::MAX - 1]),
            ..Iocb::default()
        };
        match opcode {
            5 => iocb.buf = u64::from(bytes.u16()),
            7 | 8 => self.put_iovec(&mut iocb, bytes, arrays),
            _ => {}
        }
        if bytes.rarely(3) {
            iocb.flags = bytes.one_of(&[1, 1, 1, 2, 3, 4, u32::MAX]);
            iocb.resfd = self.places.eventfd(bytes) as u32;
        }
        if bytes.rarely(8) {
            iocb.key = u32::from(bytes.byte());
            iocb.rw_flags = bytes.one_of(&[1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 1 << 31, u32::MAX]);
            iocb.reqprio = bytes.u16() as i16;
            iocb.reserved2 = u64::from(bytes.rarely(4));
        }
        iocb
    }

    fn put_iovec(&mut self, iocb: &mut Iocb, bytes: &mut Bytes, arrays: &mut Vec<Vec<Iovec>>) {
        iocb.nbytes = bytes.one_of(&[0, 1, 2, 8, 9, 20, 1024, 1025, u64::MAX]);
        if bytes.rarely(8) || iocb.nbytes > 1024 {
            iocb.buf = self.places.bad(bytes) as u64;
            return;
        }
        let len = [1, 0, 100, 4096, usize::MAX, isize::MAX as usize];
        let mut one = || Iovec { base: self.places.buffer(bytes), len: bytes.one_of(&len) };
        let array: Vec<Iovec> = (0..iocb.nbytes).map(|_| one()).collect();
        iocb.buf = array.as_ptr() as u64;
        arrays.push(array);
    }

    pub fn submit(&mut self, bytes: &mut Bytes) {
        let which = bytes.below(CONTEXTS);
        let address = self.address(which, bytes);
        if bytes.rarely(16) {
            let (nr, array) = (bytes.one_of(&[0, 1, -1, 2, isize::MAX, isize::MIN]), self.places.bad(bytes));
            // SAFETY: no iocb can be had there: the bytes of the pool hold no address of one.
            let answer = unsafe { io_submit(address, nr.min(1), array as *const *mut Iocb) };
            return check("io_submit", answer, &[libc::EFAULT, libc::EINVAL]);
        }
        let (mut arrays, mut iocbs) = (Vec::new(), Vec::new());
        for _ in 0..bytes.below(6) {
            iocbs.push(self.iocb(bytes, &mut arrays));
        }
        let mut pointers: Vec<*mut Iocb> = iocbs.iter_mut().map(core::ptr::from_mut).collect();
        if bytes.rarely(8) && !pointers.is_empty() {
            let victim = bytes.below(pointers.len());
            pointers[victim] = self.places.bad(bytes) as *mut Iocb;
        }
        if trace() {
            eprintln!("{address:x} {iocbs:x?} {arrays:x?} {pointers:x?}");
        }
        // SAFETY: exactly as many pointers; what the requests name stays.
        let answer = unsafe { io_submit(address, pointers.len() as isize, pointers.as_ptr()) };
        let errors =
            [libc::EINVAL, libc::EFAULT, libc::EAGAIN, libc::EBADF, libc::EOPNOTSUPP, libc::EPERM, libc::ENOMEM];
        check("io_submit", answer, &errors);
        self.note_accepted(address, answer, &pointers, &iocbs);
        if bytes.rarely(2) {
            self.kept.push(iocbs);
        }
    }

    fn note_accepted(&mut self, address: usize, answer: isize, pointers: &[*mut Iocb], iocbs: &[Iocb]) {
        let accepted = usize::try_from(answer).unwrap_or(0);
        let Some(known) = self.contexts.iter_mut().find(|known| known.address == address) else {
            return assert_eq!(accepted, 0);
        };
        for (pointer, iocb) in pointers.iter().zip(iocbs).take(accepted) {
            known.open.insert(iocb.data, *pointer as u64);
            // Bytes of a half-mapped place were taken for an iocb.
            known.scribbled |= !core::ptr::eq(*pointer, iocb);
        }
    }

    pub fn collect(&mut self, bytes: &mut Bytes) {
        let which = bytes.below(CONTEXTS);
        let address = self.address(which, bytes);
        let nr = bytes.one_of(&[1, 0, 2, 8, 64, 200, -1]);
        let least = bytes.one_of(&[0, 1, nr, nr - 1, nr + 1, -1, isize::MIN]);
        let mut events = vec![IoEvent::default(); nr.max(0) as usize];
        let bad = bytes.rarely(8);
        let place = if bad { self.places.bad(bytes) as *mut IoEvent } else { events.as_mut_ptr() };
        let time = Timespec { sec: 0, nsec: bytes.one_of(&[0, 1, 1000, 200_000]) };
        let timeout = if bytes.rarely(16) { self.places.bad(bytes) as *const Timespec } else { &raw const time };
        // Without a time-out nothing must be waited for.
        let least = if timeout == &raw const time { least } else { least.min(0) };
        let answer = if bytes.rarely(4) {
            let mask = 0u64;
            let sizes = [8, 0, 4, 16];
            let good = AioSigset { sigmask: &raw const mask as usize, sigsetsize: bytes.one_of(&sizes) };
            let wild = AioSigset { sigmask: self.places.bad(bytes), ..good };
            let set = if bytes.rarely(4) { &wild } else { &good };
            // SAFETY: room for `nr` events, or an address that cannot be written.
            unsafe { io_pgetevents(address, least, nr, place, timeout, set) }
        } else {
            // SAFETY: as above.
            unsafe { io_getevents(address, least, nr, place, timeout) }
        };
        check("io_getevents", answer, &[libc::EINVAL, libc::EFAULT, libc::EINTR]);
        let got = usize::try_from(answer).unwrap_or(0);
        self.note_events(address, if bad { &[] } else { &events[..got] }, bad && got > 0);
    }

    fn note_events(&mut self, address: usize, events: &[IoEvent], lost: bool) {
        let Some(known) = self.contexts.iter_mut().find(|known| known.address == address) else {
            return assert!(events.is_empty() && !lost);
        };
        known.scribbled |= lost;
        for event in events.iter().filter(|_| !known.scribbled) {
            assert_eq!(known.open.remove(&event.data), Some(event.obj), "an event of no request");
            assert_eq!(event.res2, 0);
        }
    }

    pub fn cancel(&mut self, bytes: &mut Bytes) {
        let which = bytes.below(CONTEXTS);
        let address = self.address(which, bytes);
        let iocb = if self.kept.is_empty() || bytes.rarely(4) {
            self.places.bad(bytes) as *mut Iocb
        } else {
            let batch = bytes.below(self.kept.len());
            let batch = &mut self.kept[batch];
            if batch.is_empty() {
                return self.places.stir(bytes);
            }
            let one = bytes.below(batch.len());
            &raw mut batch[one]
        };
        // SAFETY: any numbers will do.
        let answer = unsafe { io_cancel(address, iocb, self.places.bad(bytes) as *mut IoEvent) };
        assert!(answer < 0);
        check("io_cancel", answer, &[libc::EINVAL, libc::EFAULT, libc::EINPROGRESS]);
    }

    /// Writes to a ring's header, as a program that reaps by hand may, and one with a defect.
    pub fn scribble(&mut self, bytes: &mut Bytes) {
        let known = &mut self.contexts[bytes.below(CONTEXTS)];
        if known.address == 0 || bytes.rarely(2) {
            return self.places.stir(bytes);
        }
        known.scribbled = true;
        let (word, value) = (bytes.below(8), bytes.u64() as u32);
        let value = bytes.one_of(&[value, 0, 1, value % 128, u32::MAX]);
        if trace() {
            eprintln!("{:x}[{word}] = {value:#x}", known.address);
        }
        // SAFETY: a word of a live ring's header.
        unsafe { (known.address as *mut u32).add(word).write_volatile(value) };
    }

    /// Destroys what is left: nothing of the quota stays taken.
    pub fn end(mut self) {
        for known in self.contexts.iter_mut().filter(|known| known.address != 0) {
            // SAFETY: the header of a live ring; io_destroy knows it by its id.
            unsafe { (known.address as *mut u32).write_volatile(known.id) };
            // SAFETY: any number will do.
            assert_eq!(unsafe { io_destroy(known.address) }, 0);
        }
        assert_eq!(aio_nr(), 0);
    }
}
