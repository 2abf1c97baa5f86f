//! The engine over io_uring: one ring, owned by one library thread, never entered by another.

mod ending;
mod needs;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::abi::RWF_NOWAIT;
use crate::context::Context;
use crate::engine::NO_FILE;
use crate::engine::bells::Bells;
use crate::engine::lent::Lent;
use crate::errno::{Errno, Result};
use crate::files::{Files, Handle};
use crate::inbox::{Inbox, Mail, Message, Order};
use crate::os::{file, futex};
use crate::request::{Op, Request};
use crate::service::nap;
use crate::slot::{Slot, State};
use crate::timers;

pub(crate) use needs::Mask;

/// Sizes to try: submission entries, completion entries. Smaller ones need less locked memory.
const SIZES: [(u32, u32); 4] = [(256, 4096), (64, 1024), (16, 64), (4, 8)];
/// The thread looks whether it is still needed after so long.
const IDLE: Timespec = Timespec::new().sec(1);
/// How long a message waits for room in the descriptor table, and an event for its ring, before the next look.
const LOOK_AGAIN: Timespec = Timespec::new().nsec(1_000_000);

/// What a completion is about, in the low bits of its user data; slots are 64-byte aligned.
const TAG: u64 = 63;
const TAG_SLOT: u64 = 0;
const TAG_CANCEL: u64 = 1;
/// The socket in the upper half is readable.
const TAG_SOCKET: u64 = 2;

/// In [`Slot::link`]: io_submit waits to see the request taken.
const AWAITED: u64 = 1;
/// In [`Slot::link`]: RWF_NOWAIT is ours, not the program's.
const OWN_NOWAIT: u64 = 2;
/// In [`Slot::link`]: the engine still holds the file.
const FILE_HELD: u64 = 4;

/// A ring, if this place has one that can do what we need.
pub(crate) fn open_ring(masked: Mask) -> Option<IoUring> {
    SIZES.iter().filter(|(entries, _)| !masked.hides_ring(*entries)).find_map(|(sq, cq)| {
        let ring = IoUring::builder().setup_cqsize(*cq).build(*sq).ok()?;
        needs::are_met(&ring, masked).then_some(ring)
    })
}

struct Uring {
    ring: IoUring,
    inbox: Inbox,
    files: Files,
    /// Writes of this round that io_submit waits for.
    awaited: Vec<&'static Slot>,
    /// Files that the ring holds by itself once the round is submitted.
    to_release: Vec<Handle>,
    /// The contexts whose files these are.
    lent: Lent,
    /// Requests that have to be submitted once more.
    again: VecDeque<&'static Slot>,
    /// Connections whose next message waits for room in the descriptor table.
    stalled: Vec<i32>,
    bells: Bells,
    /// Requests that have ended, but whose context's ring is held by a thread that does not run.
    late: Vec<(&'static Slot, Op)>,
    /// Whether a cancellation may keep quiet about its own success.
    quiet_cancels: bool,
    /// The files of the message that is being dealt with.
    handles: Vec<Handle>,
    /// Room for a message, while none is being read.
    message: Option<Box<Message>>,
}

/// The thread's loop.
pub(crate) fn run(ring: IoUring, masked: Mask, inbox: Inbox) {
    let mut engine = Uring {
        quiet_cancels: needs::quiet_cancels(&ring, masked),
        bells: Bells::default(),
        ring,
        inbox,
        files: Files::default(),
        awaited: Vec::new(),
        to_release: Vec::new(),
        lent: Lent::default(),
        again: VecDeque::new(),
        stalled: Vec::new(),
        late: Vec::new(),
        handles: Vec::new(),
        // Now: a filter may forbid what memory needs later.
        message: Some(Box::default()),
    };
    engine.watch(engine.inbox.listener);
    while engine.turn() {}
}

impl Uring {
    /// Waits for something and deals with it. False: the thread is not needed any more.
    fn turn(&mut self) -> bool {
        let quiet = self.wait();
        if let Some(context) = self.inbox.posted() {
            self.cancel_all(context);
            self.inbox.order_done(context);
        }
        self.finish_late();
        self.reap();
        self.ring_bells();
        self.flush();
        self.ring_bells();
        !(quiet && self.stalled.is_empty() && self.inbox.try_stop())
    }

    /// True: nothing has happened for a whole idle time.
    fn wait(&mut self) -> bool {
        let waits = self.stalled.is_empty() && self.late.is_empty();
        let time = if waits { &IDLE } else { &LOOK_AGAIN };
        let args = SubmitArgs::new().timespec(time);
        let waited = self.ring.submitter().submit_with_args(1, &args);
        for fd in core::mem::take(&mut self.stalled) {
            self.read_connection(fd);
        }
        match waited.err().and_then(|e| e.raw_os_error()) {
            Some(libc::ETIME) => true,
            None | Some(libc::EINTR | libc::EBUSY | libc::EAGAIN) => false,
            Some(_) => {
                // The program has forbidden it by a filter of its own.
                nap();
                true
            }
        }
    }

    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: the memory that the entry names stays until its completion: iovecs in the slot, and
            // buffers that the program promised.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            self.submit();
        }
    }

    fn submit(&mut self) {
        // EBUSY and EAGAIN: completions must be taken first; they come with the next wait.
        match self.ring.submit().err().and_then(|e| e.raw_os_error()) {
            Some(libc::EBUSY | libc::EAGAIN) => self.reap(),
            Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => nap(),
            _ => {}
        }
    }

    /// Asks to be told when `fd`, a socket of ours, is readable.
    fn watch(&mut self, fd: i32) {
        let entry = opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32).build();
        self.push(&entry.user_data((fd as u64) << 32 | TAG_SOCKET));
    }

    /// Hands the round to the kernel: afterwards the files need no number here, and the writes are on
    /// their way.
    fn flush(&mut self) {
        while !self.ring.submission().is_empty() {
            self.submit();
            self.reap();
        }
        let count = self.to_release.len();
        while let Some(handle) = self.to_release.pop() {
            self.release(handle);
        }
        self.inbox.settled(count);
        self.lent.give_back();
        for slot in self.awaited.drain(..) {
            slot.link.fetch_and(!AWAITED, Ordering::Relaxed);
            slot.shift_state(State::Sent, State::Taken);
            futex::wake_all(slot.futex());
        }
    }

    fn release(&mut self, handle: Handle) {
        if self.files.release(handle) {
            self.inbox.files_closed(1);
        }
    }

    /// Deals with what has completed, and starts again what has to be started again.
    fn reap(&mut self) {
        loop {
            let next = self.ring.completion().next();
            match next {
                Some(entry) => self.completed(&entry),
                None => break,
            }
        }
        while let Some(slot) = self.again.pop_front() {
            self.push_again(slot);
        }
    }

    /// A cancellation that came since the completion is ahead in the queue and finds nothing there to cancel.
    fn push_again(&mut self, slot: &'static Slot) {
        if slot.state() == State::Cancelled {
            // SAFETY: the slot is with this engine.
            let res = unsafe { slot.request() }.cancelled();
            return self.finish(slot, res);
        }
        self.push_request(slot);
    }

    fn completed(&mut self, entry: &cqueue::Entry) {
        let data = entry.user_data();
        match data & TAG {
            TAG_SLOT => {
                // SAFETY: the user data is the address of a slot whose request is in flight.
                let slot: &'static Slot = unsafe { &*(data as *const Slot) };
                self.request_completed(slot, entry.result());
            }
            TAG_SOCKET => self.socket_readable((data >> 32) as i32),
            _ => {}
        }
    }

    fn socket_readable(&mut self, fd: i32) {
        if fd == self.inbox.listener {
            while let Some(connection) = self.inbox.accept() {
                self.watch(connection);
            }
            self.watch(fd);
        } else {
            self.read_connection(fd);
        }
    }

    fn read_connection(&mut self, fd: i32) {
        let mut message = self.message.take().unwrap_or_default();
        loop {
            match self.inbox.receive(fd, &mut message) {
                Mail::Message => self.start_all(&message),
                Mail::Nothing => break self.watch(fd),
                Mail::NoRoom => break self.stalled.push(fd),
                Mail::Gone => break file::close(fd),
            }
        }
        self.message = Some(message);
    }

    fn start_all(&mut self, message: &Message) {
        // One list for all messages: a request allocates nothing here.
        let mut handles = core::mem::take(&mut self.handles);
        handles.clear();
        handles.extend(message.files().iter().map(|fd| self.files.add(*fd)));
        for order in message.orders() {
            match order {
                Order::Request(slot) => {
                    self.lent.add(slot.context());
                    self.start(slot, &handles);
                }
                Order::CancelAll(context) => {
                    self.cancel_all(context);
                    self.inbox.order_done(context);
                }
                Order::Timer(index) => return message.fds().iter().for_each(|fd| timers::introduced(index, *fd)),
                Order::CancelOne(slot, ticket) => {
                    let context = slot.context();
                    if slot.is_cancelled(ticket) {
                        self.push_cancel(slot);
                    }
                    self.inbox.order_done(context);
                }
            }
        }
        self.to_release.extend_from_slice(&handles);
        self.handles = handles;
    }

    fn start(&mut self, slot: &'static Slot, handles: &[Handle]) {
        // SAFETY: the slot was handed over to this engine.
        let request = unsafe { slot.request() };
        let file = handles[slot.file.load(Ordering::Relaxed) as usize];
        slot.file.store(file, Ordering::Relaxed);
        let resfd = slot.resfd.load(Ordering::Relaxed);
        if resfd != NO_FILE {
            let mut eventfd = handles[resfd as usize];
            if self.inbox.is_crowded() {
                eventfd = self.files.shared(request.resfd, eventfd);
            }
            slot.resfd.store(eventfd, Ordering::Relaxed);
            self.files.keep(eventfd);
        }
        let mut link = 0;
        if matches!(request.op, Op::Write | Op::Fsync | Op::Fdatasync) {
            // A write may have to be submitted again; a worker of the kernel's looks the file of an fsync up.
            self.files.keep(file);
            link |= FILE_HELD;
            if request.op == Op::Write && !request.stream {
                link |= AWAITED;
                self.awaited.push(slot);
                if request.rw_flags & RWF_NOWAIT == 0 {
                    // Would it have to wait in a queue of the kernel's that dies with the process? Then
                    // EAGAIN says so, and io_submit waits for its end.
                    request.rw_flags |= RWF_NOWAIT;
                    link |= OWN_NOWAIT;
                }
            }
        }
        slot.link.store(link, Ordering::Relaxed);
        let awaited = link & AWAITED != 0;
        let taken =
            if awaited { slot.state() == State::Sent } else { slot.shift_state(State::Sent, State::Taken) };
        if !taken || (!request.is_lasting() && slot.context().is_dead()) {
            return self.finish(slot, request.cancelled());
        }
        self.push_request(slot);
    }

    fn push_request(&mut self, slot: &'static Slot) {
        // SAFETY: the slot is with this engine.
        let request = unsafe { slot.request() };
        let fd = Fd(self.files.fd(slot.file.load(Ordering::Relaxed)));
        let entry = entry(request, fd).user_data(core::ptr::from_ref(slot) as u64 | TAG_SLOT);
        self.push(&entry);
    }

    fn cancel_all(&mut self, context: &'static Context) {
        for slot in context.slots.used() {
            self.cancel(slot);
        }
    }

    fn cancel(&mut self, slot: &'static Slot) {
        if !matches!(slot.state(), State::Taken | State::Cancelled) {
            return;
        }
        // SAFETY: a slot that is Taken or Cancelled here is with this engine: io_destroy is under way, and what was on
        // its way before has been received, or will find the context dead.
        let lasting = unsafe { slot.request() }.is_lasting();
        // Also where io_cancel has marked it: its message may not have come through.
        if !lasting {
            slot.shift_state(State::Taken, State::Cancelled);
            self.push_cancel(slot);
        }
    }

    fn push_cancel(&mut self, slot: &'static Slot) {
        let target = core::ptr::from_ref(slot) as u64 | TAG_SLOT;
        let flags = if self.quiet_cancels { squeue::Flags::SKIP_SUCCESS } else { squeue::Flags::empty() };
        self.push(&opcode::AsyncCancel::new(target).build().flags(flags).user_data(TAG_CANCEL));
    }
}

fn outcome(res: i32) -> Result<usize> {
    usize::try_from(res).map_err(|_| Errno::from_raw(res as isize))
}

fn entry(request: &Request, fd: Fd) -> squeue::Entry {
    let iov = request.iovec();
    let (pieces, count) = (iov.as_ptr().cast::<libc::iovec>(), iov.len() as u32);
    let offset = request.offset as u64;
    match request.op {
        Op::Read => opcode::Readv::new(fd, pieces, count)
            .offset(offset)
            .rw_flags(request.rw_flags as i32)
            .ioprio(request.priority)
            .build(),
        Op::Write => opcode::Writev::new(fd, pieces, count)
            .offset(offset)
            .rw_flags(request.rw_flags as i32)
            .ioprio(request.priority)
            .build(),
        Op::Fsync => opcode::Fsync::new(fd).build(),
        Op::Fdatasync => opcode::Fsync::new(fd).flags(io_uring::types::FsyncFlags::DATASYNC).build(),
        Op::Poll => opcode::PollAdd::new(fd, u32::from(request.poll_mask)).build(),
    }
}
