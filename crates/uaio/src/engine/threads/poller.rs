//! The thread that receives requests, and waits for pipes, sockets, terminals and polls, all at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Door, Pool, pool};
use crate::context::Context;
use crate::engine::bells::Bells;
use crate::engine::lent::Lent;
use crate::engine::{NO_FILE, inline};
use crate::errno::{Errno, Result};
use crate::files::{Files, Handle};
use crate::inbox::{Inbox, Mail, Message, Order};
use crate::os::epoll::{EVENTS, Epoll};
use crate::os::file;
use crate::request::Op;
use crate::service::nap;
use crate::slot::{Slot, State};
use crate::sync::AtomicU32;
use crate::timers;

/// The thread looks whether it is still needed after so long, in milliseconds.
const IDLE_MS: i32 = 1000;
/// How long a message waits for room in the descriptor table before the next look.
const LOOK_AGAIN_MS: i32 = 1;

/// Most lists that are kept, and the longest of them.
const SPARE: usize = 64;

/// What is ready: the upper half of epoll's data. The lower half is the descriptor or the handle.
const SOCKET: u64 = 1 << 32;
const FILE: u64 = 2 << 32;
/// A worker has noted down a late completion.
const BELL: u64 = 3 << 32;

/// The poller's own things.
pub(crate) struct Poller {
    pool: Arc<Pool>,
    epoll: Epoll,
    /// Requests that wait for a file, by its handle. Each holds the file.
    waiting: HashMap<Handle, Waiting>,
    /// Lists for it that are empty: a request that waits allocates nothing.
    spare: Vec<Waiting>,
    stalled: Vec<i32>,
    /// The files of the message that is being dealt with.
    handles: Vec<Handle>,
    /// The contexts for whose requests this thread holds a file besides the requests.
    lent: Lent,
    message: Option<Box<Message>>,
    bells: Bells,
}

/// The requests that wait for one file, and all that they wait for.
#[derive(Default)]
struct Waiting {
    slots: Vec<&'static Slot>,
    mask: u32,
}

/// Makes the poller in the service thread.
pub(crate) fn open(inbox: Inbox, door: &Door) -> Result<Poller> {
    let epoll = Epoll::new()?;
    epoll.add(inbox.listener, libc::EPOLLIN as u32, SOCKET | inbox.listener as u64)?;
    let pool = pool(inbox)?;
    door.open(&pool);
    // Now: a filter may forbid what memory needs later.
    let message = Some(Box::default());
    Ok(Poller {
        pool,
        epoll,
        waiting: HashMap::new(),
        spare: Vec::new(),
        stalled: Vec::new(),
        handles: Vec::new(),
        lent: Lent::default(),
        message,
        bells: Bells::default(),
    })
}

/// The thread's loop.
pub(crate) fn run(mut poller: Poller) {
    while poller.turn() {}
}

impl Poller {
    /// Waits for something and deals with it. False: the thread is not needed any more.
    fn turn(&mut self) -> bool {
        let mut ready = [0; EVENTS];
        let waits = self.stalled.is_empty() && !self.pool.deliver_undelivered();
        let time = if waits { IDLE_MS } else { LOOK_AGAIN_MS };
        let time = self.pool.late.wait_ms().map_or(time, |late| late.min(time));
        let count = self.epoll.wait(time, &mut ready).unwrap_or_else(|why| {
            if why != Errno::EINTR {
                // The program has forbidden it by a filter of its own.
                nap();
            }
            0
        });
        if let Some(context) = self.pool.inbox.posted() {
            self.cancel_all(context);
            self.pool.inbox.order_done(context);
        }
        for slot in self.pool.late.due() {
            // SAFETY: taken out of the list.
            let res = unsafe { slot.request() }.performed().unwrap_or_default();
            self.pool.deliver(slot, res);
        }
        for fd in core::mem::take(&mut self.stalled) {
            self.read_connection(fd);
        }
        for data in &ready[..count] {
            match *data & !u64::from(u32::MAX) {
                SOCKET => self.socket_readable(*data as i32),
                BELL => self.pool.late.hush(),
                _ => self.file_ready(*data as Handle),
            }
        }
        self.lent.give_back();
        let idle = count == 0 && time >= IDLE_MS && self.stalled.is_empty();
        !(idle && self.pool.inbox.try_stop())
    }

    fn socket_readable(&mut self, fd: i32) {
        if fd != self.pool.inbox.listener {
            return self.read_connection(fd);
        }
        while let Some(connection) = self.pool.inbox.accept() {
            if self.epoll.add(connection, libc::EPOLLIN as u32, SOCKET | connection as u64).is_err() {
                file::close(connection);
            }
        }
    }

    fn read_connection(&mut self, fd: i32) {
        let mut message = self.message.take().unwrap_or_default();
        loop {
            match self.pool.inbox.receive(fd, &mut message) {
                Mail::Message => self.start_all(&message),
                Mail::Nothing => break,
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
        self.pool.files.with(|files| handles.extend(message.files().iter().map(|fd| files.add(*fd))));
        for order in message.orders() {
            match order {
                Order::Request(slot) => {
                    self.lent.add(slot.context());
                    self.start(slot, &handles);
                }
                Order::CancelAll(context) => {
                    self.cancel_all(context);
                    self.pool.inbox.order_done(context);
                }
                Order::Timer(index) => return message.fds().iter().for_each(|fd| timers::introduced(index, *fd)),
                Order::CancelOne(slot, ticket) => {
                    let context = slot.context();
                    if slot.is_cancelled(ticket) {
                        self.cancel_one(slot, ticket);
                    }
                    self.pool.inbox.order_done(context);
                }
            }
        }
        handles.iter().for_each(|handle| self.pool.release(*handle));
        self.pool.inbox.settled(handles.len());
        self.handles = handles;
        self.lent.give_back();
    }

    fn start(&mut self, slot: &'static Slot, handles: &[Handle]) {
        // SAFETY: the slot was handed over to this engine.
        let request = unsafe { slot.request() };
        if request.delay_us > 0 {
            self.hear_workers();
        }
        let waits = request.op == Op::Poll || request.stream;
        let crowded = self.pool.inbox.is_crowded();
        let handle = self.pool.files.with(|files| {
            let hold = |files: &mut Files, place: &AtomicU32, number, looks: bool| {
                let mut handle = handles[place.load(Ordering::Relaxed) as usize];
                if looks {
                    handle = files.shared(number, handle);
                }
                files.note(number, handle);
                files.keep(handle);
                place.store(handle, Ordering::Relaxed);
                handle
            };
            if slot.resfd.load(Ordering::Relaxed) != NO_FILE {
                hold(files, &slot.resfd, request.resfd, crowded);
            }
            hold(files, &slot.file, request.fd, waits || crowded)
        });
        let taken = slot.shift_state(State::Sent, State::Taken);
        crate::os::futex::wake_all(slot.futex());
        if let Some(res) = request.performed() {
            self.pool.finish(slot, res);
        } else if !taken || (!request.is_lasting() && slot.context().is_dead()) {
            self.pool.finish(slot, request.cancelled());
        } else if waits {
            self.wait_for(slot, handle);
        } else if !self.pool.queue(slot) {
            self.pool.execute(slot);
        }
    }

    /// Something will be late: a worker that notes it down must be able to wake this thread.
    fn hear_workers(&self) {
        if let Some(bell) = self.pool.late.make_bell() {
            let _ = self.epoll.add(bell, libc::EPOLLIN as u32, BELL);
        }
    }

    /// Tries the request, and lets it wait if it cannot be done now.
    fn wait_for(&mut self, slot: &'static Slot, handle: Handle) {
        if self.try_now(slot) {
            return;
        }
        let waiting = self.waiting.entry(handle).or_insert_with(|| self.spare.pop().unwrap_or_default());
        let known = waiting.mask;
        waiting.add(slot);
        let (first, mask) = (known == 0, waiting.mask);
        let fd = self.pool.fd(handle);
        let watched = if first {
            self.epoll.add(fd, mask, FILE | u64::from(handle))
        } else if mask == known {
            // It is watched for that already: one more of very many costs nothing.
            Ok(())
        } else {
            self.epoll.change(fd, mask, FILE | u64::from(handle))
        };
        if watched.is_err() {
            let slots = self.waiting.remove(&handle).unwrap_or_default().slots;
            slots.into_iter().for_each(|slot| self.unwatched(slot));
        }
    }

    /// The file cannot be watched: a worker has to wait for it. Not for a POLL: its worker would wait for ever where
    /// nothing ever gets ready, and no cancellation reaches a worker.
    fn unwatched(&self, slot: &'static Slot) {
        // SAFETY: the slot is with this thread.
        if unsafe { slot.request() }.op == Op::Poll {
            self.pool.finish(slot, Errno::EINVAL.negated() as i64);
        } else if !self.pool.queue(slot) {
            self.pool.execute(slot);
        }
    }

    /// True: the request has ended.
    fn try_now(&self, slot: &'static Slot) -> bool {
        let fd = self.pool.fd(slot.file.load(Ordering::Relaxed));
        // SAFETY: the slot is with this thread.
        let request = unsafe { slot.request() };
        loop {
            match inline::attempt_now(request, fd) {
                Err(Errno::EAGAIN | Errno::EINTR) => return false,
                Ok(n) if request.op == Op::Write && n > 0 && n < request.left() as usize => request.advance(n),
                last => {
                    self.pool.finish(slot, request.result(last));
                    return true;
                }
            }
        }
    }

    fn file_ready(&mut self, handle: Handle) {
        let Some(mut waiting) = self.waiting.remove(&handle) else { return };
        // A file must not be closed while epoll still watches it under this handle.
        self.pool.keep(handle);
        waiting.slots.iter().for_each(|slot| self.lent.add(slot.context()));
        waiting.slots.retain(|slot| !self.try_now(slot));
        self.watch_rest(handle, waiting);
        self.pool.release(handle);
    }

    fn watch_rest(&mut self, handle: Handle, mut left: Waiting) {
        let fd = self.pool.fd(handle);
        left.sum_up();
        if left.slots.is_empty() {
            self.keep_spare(left);
            return self.epoll.remove(fd);
        }
        let _ = self.epoll.change(fd, left.mask, FILE | u64::from(handle));
        self.waiting.insert(handle, left);
    }

    fn keep_spare(&mut self, list: Waiting) {
        if self.spare.len() < SPARE && list.slots.capacity() <= SPARE {
            self.spare.push(list);
        }
    }

    fn cancel_all(&mut self, context: &'static Context) {
        self.pool.cancel_queued(context);
        self.pool.deliver_late(|slot| core::ptr::eq(slot.context(), context));
        let of_context = |slot: &&'static Slot| core::ptr::eq(slot.context(), context);
        let waiting = self.waiting.values().flat_map(|waiting| &waiting.slots);
        let slots: Vec<_> = waiting.copied().filter(of_context).collect();
        let mut handles: Vec<Handle> = Vec::new();
        for slot in slots {
            slot.set_state(State::Cancelled);
            handles.push(slot.file.load(Ordering::Relaxed));
        }
        handles.sort_unstable();
        handles.dedup();
        handles.into_iter().for_each(|handle| self.end_cancelled(handle));
        self.pool.ring(&mut self.bells);
    }

    fn cancel_one(&mut self, slot: &'static Slot, ticket: u32) {
        // Asked again under the queue's lock: by now the slot may be another request's.
        self.pool.end_queued(|queued| core::ptr::eq(queued, slot) && queued.is_cancelled(ticket));
        self.end_cancelled(slot.file.load(Ordering::Relaxed));
        self.pool.ring(&mut self.bells);
    }

    /// Ends the cancelled requests that wait for a file.
    fn end_cancelled(&mut self, handle: Handle) {
        let Some(mut waiting) = self.waiting.remove(&handle) else { return };
        self.pool.keep(handle);
        let cancelled = |slot: &&'static Slot| slot.state() == State::Cancelled;
        let ended: Vec<_> = waiting.slots.extract_if(.., |slot| cancelled(slot)).collect();
        self.watch_rest(handle, waiting);
        ended.iter().for_each(|slot| self.lent.add(slot.context()));
        for slot in ended {
            // SAFETY: the slot is with this thread.
            let request = unsafe { slot.request() };
            let res = request.cancelled();
            if slot.context().is_dead() {
                request.spoil(res);
                self.pool.deliver_quietly(slot, res, &mut self.bells);
            } else {
                self.pool.finish(slot, res);
            }
        }
        self.pool.release(handle);
    }
}

impl Waiting {
    fn add(&mut self, slot: &'static Slot) {
        self.slots.push(slot);
        self.mask |= awaited(slot);
    }

    /// What those that are left wait for.
    fn sum_up(&mut self) {
        self.mask = self.slots.iter().fold(0, |all, slot| all | awaited(slot));
    }
}

/// What a request waits for. One shot: with many requests on one file a level would call again and again.
fn awaited(slot: &'static Slot) -> u32 {
    // SAFETY: the slot is with this thread.
    let request = unsafe { slot.request() };
    let events = match request.op {
        Op::Poll => u32::from(request.poll_mask),
        Op::Write => libc::EPOLLOUT as u32,
        _ => libc::EPOLLIN as u32,
    };
    events | libc::EPOLLONESHOT as u32
}
