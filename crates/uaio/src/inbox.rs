//! The library's side of the way that requests come: connections, messages, files.

use crate::context::Context;
use crate::engine::NO_FILE;
use crate::errno::Errno;
use crate::os::socket::{self, MAX_FDS};
use crate::os::{file, thread};
use crate::request::Op;
use crate::service::{Service, word};
use crate::slot::Slot;
use crate::sync::Ordering;

/// Words of the longest message.
const WORDS: usize = MAX_FDS / 2;

/// Descriptors that a library thread has for itself, at the least.
const OWN: u64 = 4;

/// Something to do.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    Request(&'static Slot),
    CancelAll(&'static Context),
    CancelOne(&'static Slot, u32),
    /// The one file of the message is timer `.0` of io_pgetevents.
    Timer(usize),
}

/// One message: what to do, and the files that came with it, as descriptors of this table.
pub(crate) struct Message {
    words: [u64; WORDS],
    count: usize,
    fds: [i32; MAX_FDS],
    fd_count: usize,
    /// Files that found no room: the program has lowered its limit at this very moment.
    lost: usize,
}

/// What [`Inbox::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    /// The message is filled.
    Message,
    /// Nothing there.
    Nothing,
    /// There is a message, but no room in the descriptor table for its files.
    NoRoom,
    /// The other end is closed.
    Gone,
}

/// The listening socket, and what belongs to it.
pub(crate) struct Inbox {
    service: &'static Service,
    pub(crate) listener: i32,
    pid: i32,
}

impl Inbox {
    pub(crate) fn new(service: &'static Service, listener: i32, pid: i32) -> Inbox {
        Inbox { service, listener, pid }
    }

    /// A new connection of this very process.
    pub(crate) fn accept(&self) -> Option<i32> {
        loop {
            match socket::accept_from(self.listener, self.pid) {
                Ok(fd) => return Some(fd),
                Err(Errno::EACCES) => {}
                Err(_) => return None,
            }
        }
    }

    /// The next message of connection `fd`, without waiting.
    pub(crate) fn receive(&self, fd: i32, message: &mut Message) -> Mail {
        let mut _raised = None;
        if self.tight() && !self.fits(fd, message) {
            // Room appears when files are let go of; but not if the limit has fallen under what there is anyway.
            if !self.is_outgrown() {
                return Mail::NoRoom;
            }
            _raised = thread::RaisedLimit::new(self.service.room.needed());
        }
        match socket::receive(fd, &mut message.words, &mut message.fds, false) {
            Ok(got) if got.words > 0 => {
                (message.count, message.fd_count) = (got.words, got.fds);
                message.lost = if got.truncated { message.named().saturating_sub(got.fds) } else { 0 };
                self.service.room.unsent(message.lost as u32);
                Mail::Message
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Mail::Nothing,
            _ => Mail::Gone,
        }
    }

    /// Whether files could arrive and find no number, which would lose them.
    fn tight(&self) -> bool {
        self.service.room.needed() > thread::descriptor_limit()
    }

    /// Whether the program has lowered its limit under what this table has for itself.
    fn is_outgrown(&self) -> bool {
        thread::descriptor_limit() < OWN
    }

    /// Looks whether the files of the next message find room, leaving the message where it is.
    fn fits(&self, fd: i32, message: &mut Message) -> bool {
        match socket::receive(fd, &mut message.words, &mut message.fds, true) {
            Ok(got) => {
                message.fds[..got.fds].iter().for_each(|fd| file::close(*fd));
                !got.truncated
            }
            Err(_) => true,
        }
    }

    /// Whether so many descriptors are held that it is worth a look whether some are the same file.
    pub(crate) fn is_crowded(&self) -> bool {
        self.service.room.is_crowded()
    }

    /// The context has been told of the end of a request of kind `op`.
    pub(crate) fn ended(&self, op: Op) {
        self.service.ended(op);
    }

    /// A cancellation in `context` has been dealt with.
    pub(crate) fn order_done(&self, context: &Context) {
        self.service.order_done(context);
    }

    /// A context whose requests shall end, and of which no message could tell.
    pub(crate) fn posted(&self) -> Option<&'static Context> {
        self.service.posted()
    }

    /// A message with `count` files has been dealt with.
    pub(crate) fn settled(&self, count: usize) {
        self.service.room.settled(count as u32);
    }

    /// `count` descriptors were closed.
    pub(crate) fn files_closed(&self, count: u32) {
        self.service.room.give_back(count);
    }

    /// True: the thread ends now.
    pub(crate) fn try_stop(&self) -> bool {
        self.service.try_stop()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        file::close(self.listener);
    }
}

impl Default for Message {
    fn default() -> Message {
        Message { words: [0; WORDS], count: 0, fds: [0; MAX_FDS], fd_count: 0, lost: 0 }
    }
}

impl Message {
    /// The files of the requests.
    pub(crate) fn files(&self) -> &[i32] {
        if self.words[0] & word::KIND == word::TIMER { &[] } else { self.fds() }
    }

    /// The descriptors that came along.
    pub(crate) fn fds(&self) -> &[i32] {
        &self.fds[..self.fd_count]
    }

    /// How many files the requests name, by their places among the descriptors.
    fn named(&self) -> usize {
        let places = |slot: &Slot| [&slot.file, &slot.resfd].map(|place| place.load(Ordering::Relaxed));
        let named = |order| match order {
            Order::Request(slot) => {
                places(slot).into_iter().filter(|place| *place != NO_FILE).max().unwrap_or(0) + 1
            }
            Order::Timer(_) => 1,
            Order::CancelAll(_) | Order::CancelOne(..) => 0,
        };
        self.orders().map(named).max().unwrap_or(0) as usize
    }

    /// What to do, in the order of submission.
    pub(crate) fn orders(&self) -> impl Iterator<Item = Order> {
        let mut words = self.words[..self.count].iter().copied();
        core::iter::from_fn(move || {
            let first = words.next()?;
            let address = (first & !word::KIND) as usize;
            // SAFETY: the words come from this process (the credentials were checked), which put the
            // addresses of slots and contexts there; neither is unmapped while a request is in flight.
            unsafe {
                Some(match first & word::KIND {
                    word::REQUEST => Order::Request(&*(address as *const Slot)),
                    word::TIMER => Order::Timer(address / (word::KIND as usize + 1)),
                    word::CANCEL_ALL => Order::CancelAll(&*(address as *const Context)),
                    _ => Order::CancelOne(&*(address as *const Slot), words.next()? as u32),
                })
            }
        })
    }
}
