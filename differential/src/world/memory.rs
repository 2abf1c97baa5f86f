//! The memory of a sequence: buffers, iocbs, arrays, and addresses that are wrong.

use uaio::abi::{IoEvent, Iocb, Iovec};

use super::fds::pattern;
use crate::plan::{Bad, Buf};
use crate::sys::{self, PAGE};

/// Ordinary buffers.
pub const BUFFERS: usize = 10;
/// Bytes of one.
pub const BUFFER: usize = 16_384;
/// Index of [`Buf::Big`] and [`Buf::BeforeHole`] where buffers are counted.
pub const BIG: usize = BUFFERS;
pub const BEFORE_HOLE: usize = BUFFERS + 1;
const BIG_BYTES: usize = 131_072;
/// Iocbs that can exist at once; one more lies in front of a hole.
pub const IOCBS: usize = 64;
/// io_getevents' room, in events.
pub const EVENTS: usize = 512;
const KERNEL: usize = 0xffff_8000_0000_0000;
const USER_END: usize = 0x7fff_ffff_f000;

/// Every area is followed by a page that nobody can touch.
pub struct Memory {
    buffers: [usize; BUFFERS + 2],
    iocbs: usize,
    copy: usize,
    arrays: usize,
    pointers: usize,
    events: usize,
    waiters_events: usize,
    small: usize,
    read_only: usize,
    hole: usize,
    iovecs: usize,
}

/// Pages with a hole behind them.
fn area(bytes: usize) -> usize {
    let bytes = bytes.next_multiple_of(PAGE);
    let base = sys::map(bytes + PAGE);
    sys::protect(base + bytes, PAGE, libc::PROT_NONE);
    base
}

impl Memory {
    pub fn new() -> Memory {
        let mut buffers = [0; BUFFERS + 2];
        for (i, place) in buffers.iter_mut().enumerate() {
            *place = area(size_of_buffer(i));
        }
        let hole = sys::map(PAGE);
        let iocbs = area(PAGE);
        let memory = Memory {
            buffers,
            iocbs,
            copy: area(PAGE),
            arrays: area(32 * PAGE),
            pointers: area(PAGE),
            events: area(EVENTS * size_of::<IoEvent>()),
            waiters_events: area(EVENTS * size_of::<IoEvent>()),
            small: area(PAGE),
            read_only: area(PAGE),
            hole,
            iovecs: 0,
        };
        sys::protect(hole, PAGE, libc::PROT_NONE);
        sys::protect(memory.read_only, PAGE, libc::PROT_READ);
        (0..BUFFERS + 2).for_each(|i| memory.refill(i));
        memory
    }

    /// Gives a buffer its first contents back.
    pub fn refill(&self, buffer: usize) {
        sys::fill(self.buffers[buffer], &pattern(buffer + 10, size_of_buffer(buffer)));
    }

    pub fn contents(&self, buffer: usize) -> Vec<u8> {
        sys::bytes(self.buffers[buffer], size_of_buffer(buffer))
    }

    pub fn address(&self, buf: Buf) -> usize {
        match buf {
            Buf::Slot(i, offset) => self.buffers[i as usize % BUFFERS] + offset as usize,
            Buf::Big => self.buffers[BIG],
            Buf::BeforeHole(bytes) => self.buffers[BEFORE_HOLE] + PAGE - (bytes as usize).min(PAGE),
            Buf::Bad(bad) => self.bad(bad, 64),
            Buf::AtTheEnd => USER_END - 16,
        }
    }

    /// A wrong address for something of `bytes` bytes.
    pub fn bad(&self, bad: Bad, bytes: usize) -> usize {
        match bad {
            Bad::Null => 0,
            Bad::Unmapped => self.hole,
            Bad::Kernel => KERNEL,
            Bad::ReadOnly => self.read_only,
            Bad::HalfMapped => self.small + PAGE - bytes / 2,
        }
    }

    /// Memory that is no ring.
    pub fn elsewhere(&self) -> usize {
        self.copy
    }

    pub fn iocb(&self, place: usize) -> usize {
        self.iocbs + place % IOCBS * size_of::<Iocb>()
    }

    /// Which iocb lies at an address: 0 to 63, or what else it is.
    pub fn object(&self, address: u64) -> String {
        let address = address as usize;
        match address.checked_sub(self.iocbs) {
            Some(offset) if offset < PAGE && offset.is_multiple_of(64) => format!("iocb{}", offset / 64),
            _ if address == self.read_only => "iocb-read-only".into(),
            _ => "elsewhere".into(),
        }
    }

    /// Puts an iocb into memory that can only be read; its address.
    pub fn read_only_iocb(&self, iocb: Iocb) -> usize {
        sys::protect(self.read_only, PAGE, sys::RW);
        sys::poke(self.read_only, iocb);
        sys::protect(self.read_only, PAGE, libc::PROT_READ);
        self.read_only
    }

    /// A copy of what is at `address`, at another place.
    pub fn copy_of(&self, address: usize) -> usize {
        sys::poke(self.copy + 64, sys::peek::<Iocb>(address));
        self.copy + 64
    }

    pub fn clobber_iocbs(&self) {
        sys::fill(self.iocbs, &[0xa5; PAGE]);
    }

    /// io_submit's array; behind it is a hole.
    pub fn pointer_array(&self, pointers: &[usize]) -> usize {
        let base = self.pointers + PAGE - size_of_val(pointers);
        for (i, pointer) in pointers.iter().enumerate() {
            sys::poke(base + i * size_of::<usize>(), *pointer);
        }
        base
    }

    /// A new iovec array. They are overwritten only after a long while.
    pub fn iovec_array(&mut self, pieces: &[(usize, u64)]) -> usize {
        const ROOM: usize = 32 * PAGE / size_of::<Iovec>();
        if self.iovecs + pieces.len() > ROOM {
            self.iovecs = 0;
        }
        let base = self.arrays + self.iovecs * size_of::<Iovec>();
        for (i, (piece, len)) in pieces.iter().enumerate() {
            sys::poke(base + i * size_of::<Iovec>(), Iovec { base: *piece, len: *len as usize });
        }
        self.iovecs += pieces.len();
        base
    }

    /// Overwrites the iovec arrays: a request that has been accepted no longer needs them.
    pub fn clobber_arrays(&mut self) {
        sys::fill(self.arrays, &vec![0x5a; self.iovecs * size_of::<Iovec>()]);
        self.iovecs = 0;
    }

    pub fn events(&self) -> usize {
        self.events
    }

    /// Room of a second thread.
    pub fn waiters_events(&self) -> usize {
        self.waiters_events
    }

    /// A word or two for arguments: `index` 0 to 15, 32 bytes each.
    pub fn word(&self, index: usize) -> usize {
        self.small + index * 32
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

pub fn size_of_buffer(buffer: usize) -> usize {
    match buffer {
        BIG => BIG_BYTES,
        BEFORE_HOLE => PAGE,
        _ => BUFFER,
    }
}
