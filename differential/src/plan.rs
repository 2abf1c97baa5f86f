//! The grammar: what a sequence is made of. Everything is named by what it is, so a plan means the same on both sides.

use crate::world::fds::Fd;

/// One sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub steps: Vec<Step>,
}

/// Contexts that a sequence can have.
pub const CONTEXTS: usize = 3;

/// What stands for the context in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ctx {
    /// One that was set up, or the address it had.
    N(u8),
    Zero,
    One,
    MinusOne,
    /// 8 bytes into the first one's ring.
    Inside,
    /// Memory that is no ring.
    Elsewhere,
    Unmapped,
}

/// An address that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    Null,
    Unmapped,
    Kernel,
    /// Readable, not writable.
    ReadOnly,
    /// Begins in a page that is mapped, ends in one that is not.
    HalfMapped,
}

/// Where a request's data lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buf {
    /// A buffer of the world, and the offset in it.
    Slot(u8, u16),
    /// 128 KiB, with a hole behind them.
    Big,
    /// So many bytes before a hole.
    BeforeHole(u16),
    Bad(Bad),
    /// Just below the end of what a program can own.
    AtTheEnd,
}

/// `aio_buf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    At(Buf),
    /// A number: POLL's mask, or what FSYNC must refuse.
    Number(u64),
    /// An array of pieces.
    Pieces(Vec<(Buf, u64)>),
    /// An array of so many empty pieces.
    Many(u16),
    /// An array that is no array.
    BadArray(Bad),
}

/// One iocb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Req {
    pub op: u16,
    pub fd: Fd,
    pub data: Data,
    /// Bytes, or pieces; None: as many pieces as there are.
    pub len: Option<u64>,
    pub offset: i64,
    pub rw_flags: u32,
    pub reserved2: u64,
    pub prio: i16,
    pub flags: u32,
    pub resfd: Option<Fd>,
    pub key: u32,
}

impl Req {
    /// An empty read of /dev/null.
    pub fn nothing() -> Req {
        Req {
            op: 0,
            fd: Fd::Null,
            data: Data::At(Buf::Slot(0, 0)),
            len: Some(0),
            offset: 0,
            rw_flags: 0,
            reserved2: 0,
            prio: 0,
            flags: 0,
            resfd: None,
            key: 0,
        }
    }
}

/// One pointer of io_submit's array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Req(Req),
    /// The iocb of the entry before, once more.
    Again,
    Bad(Bad),
}

/// io_getevents' count, relative to the events that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Exactly(i64),
    /// That many plus this.
    There(i8),
}

/// The timeout argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    Null,
    Of(i64, i64),
    Bad(Bad),
}

/// io_pgetevents' last argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// io_getevents.
    Without,
    Null,
    NoMask,
    Empty,
    WrongSize,
    BadSet(Bad),
    BadMask(Bad),
    /// SIGUSR1 is pending, and let through.
    LetsPendingThrough,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reap {
    pub ctx: Ctx,
    pub min: Count,
    pub nr: Count,
    pub time: Time,
    pub mask: Mask,
    pub into: Option<Bad>,
    /// Made while requests may be in flight; then min is nr and not more than what is due.
    pub early: bool,
}

/// What the program does to a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingOp {
    /// Takes up to so many events and stores head.
    TakeByHand(u8),
    /// Adds the ring's size to head.
    HeadOutOfRange,
    ChangeId,
    ChangeNrAndMagic,
    ReadOnly,
    NoAccess,
    /// Undoes the last four.
    Restore,
    Unmap,
    MapOver,
    Move,
    DontNeed,
}

/// What io_cancel is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The n-th POLL that waits.
    Waiting(u8),
    /// A copy of that, elsewhere.
    CopyOfWaiting(u8),
    /// That, with another key.
    KeyChanged(u8),
    /// The iocb at a place.
    Place(u8),
    Bad(Bad),
}

/// One thing that a program does.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Setup {
        n: u8,
        nr_events: u32,
    },
    /// One that fails because of where the context goes, or of what is there.
    BadSetup {
        nr_events: u32,
        at: Option<Bad>,
    },
    Destroy(Ctx),
    Submit {
        ctx: Ctx,
        entries: Vec<Entry>,
        nr: Option<i64>,
    },
    /// With an array that cannot be read.
    SubmitBadArray {
        ctx: Ctx,
        nr: i64,
        at: Bad,
    },
    /// Empty reads of /dev/null until the context is full.
    Fill(u8),
    Reap(Reap),
    Cancel {
        ctx: Ctx,
        victim: Victim,
    },
    Ring {
        n: u8,
        op: RingOp,
    },
    Close(Fd),
    Dup {
        from: Fd,
        onto: Fd,
    },
    Seek {
        fd: Fd,
        to: u16,
    },
    Lock {
        fd: Fd,
        start: u16,
        len: u16,
    },
    /// Gives this end something to read.
    Feed {
        fd: Fd,
        len: u16,
    },
    /// Overwrites the iocbs that were submitted.
    ClobberIocbs,
    DropCache(Fd),
    FileSizeLimit(u32),
    /// Waits for what must end, and compares everything.
    Check,
    /// By another thread, which then ends.
    Thread(Vec<Step>),
    /// By a forked child, which then ends.
    Fork(Vec<Step>),
    /// While another thread waits for `count` events.
    Waiter {
        n: u8,
        count: u8,
        meanwhile: Vec<Step>,
    },
}
