//! The book of a context's operations: which are in flight, which have ended, and who wants to know.
//!
//! Everything here is under one mutex (`Shared::state`); nothing here blocks, runs foreign code or allocates
//! per operation.

use std::task::Waker;

use super::completion::Ended;
use crate::errno::{Errno, Result};

/// No flight.
const NONE: u32 = u32::MAX;

/// Which operation: `serial << 32 | index`. It travels as `aio_data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Token(pub(crate) u64);

impl Token {
    fn new(index: u32, serial: u32) -> Token {
        Token(u64::from(serial) << 32 | u64::from(index))
    }

    pub(crate) fn index(self) -> usize {
        self.0 as u32 as usize
    }

    fn serial(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free,
    /// Submitted, or about to be.
    Flying,
    /// Its event was taken; the result waits for the owner.
    Done(i64),
}

/// Whom the end of an operation is told.
#[derive(Debug)]
enum Notify {
    Nobody,
    Waker(Waker),
    Queue(u32),
}

/// What an operation belongs to from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    Ticket,
    Scope(u32),
    Queue(u32),
}

#[derive(Debug)]
struct Flight {
    phase: Phase,
    serial: u32,
    /// The next free one, or the next one that has ended of the same queue.
    next: u32,
    /// Nobody will ask for the result.
    detached: bool,
    notify: Notify,
    scope: Option<u32>,
}

/// Operations whose completions are taken in the order in which they come.
#[derive(Debug, Default)]
struct Queue {
    head: u32,
    tail: u32,
    /// Not yet taken out.
    pending: u32,
    waker: Option<Waker>,
    used: bool,
}

/// What is left to do when an operation has ended, outside of the lock.
#[derive(Debug)]
pub(crate) enum Landed {
    /// Nothing.
    Kept,
    Wake(Waker),
    /// Drop what flight `.0` owns, then [`State::dropped`].
    Discard(Token),
}

/// The book.
#[derive(Debug)]
pub(crate) struct State {
    flights: Box<[Flight]>,
    free: u32,
    queues: Vec<Queue>,
    /// Operations in flight, of each scope; `None`: no scope.
    scopes: Vec<Option<u32>>,
    pub(crate) in_flight: u32,
    /// Tasks that wait to be woken.
    pub(crate) wakers: u32,
    /// A thread is in io_getevents and dispatches what it gets.
    pub(crate) leader: bool,
    /// Somebody has looked for events meanwhile: the leader looks once more before it goes.
    pub(crate) look_again: bool,
    /// Threads that wait for the leader's news.
    pub(crate) followers: u32,
    /// A thread of ours waits on behalf of tasks.
    pub(crate) reactor: bool,
    /// No more operations.
    pub(crate) closed: bool,
    /// While closing: what has ended since.
    pub(crate) ended: Option<Vec<Ended>>,
}

impl State {
    /// For up to `capacity` operations.
    pub(crate) fn new(capacity: u32) -> State {
        let flight = |index: u32| Flight {
            phase: Phase::Free,
            serial: 0,
            next: if index + 1 == capacity { NONE } else { index + 1 },
            detached: false,
            notify: Notify::Nobody,
            scope: None,
        };
        State {
            flights: (0..capacity).map(flight).collect(),
            free: 0,
            queues: Vec::new(),
            scopes: Vec::new(),
            in_flight: 0,
            wakers: 0,
            leader: false,
            look_again: false,
            followers: 0,
            reactor: false,
            closed: false,
            ended: None,
        }
    }

    fn flight(&mut self, token: Token) -> Option<&mut Flight> {
        self.flights.get_mut(token.index()).filter(|f| f.serial == token.serial() && f.phase != Phase::Free)
    }

    /// A place for one more operation. EAGAIN, EINVAL (closed).
    pub(crate) fn reserve(&mut self, home: Home) -> Result<Token> {
        if self.closed {
            return Err(Errno::EINVAL);
        }
        let index = self.free;
        let flight = self.flights.get_mut(index as usize).ok_or(Errno::EAGAIN)?;
        self.free = flight.next;
        let serial = flight.serial.wrapping_add(1);
        let (scope, notify) = match home {
            Home::Ticket => (None, Notify::Nobody),
            Home::Scope(scope) => (Some(scope), Notify::Nobody),
            Home::Queue(queue) => (None, Notify::Queue(queue)),
        };
        *flight = Flight { phase: Phase::Flying, serial, next: NONE, detached: false, notify, scope };
        self.in_flight += 1;
        match home {
            Home::Ticket => {}
            Home::Scope(scope) => self.scopes[scope as usize].iter_mut().for_each(|count| *count += 1),
            Home::Queue(queue) => self.queues[queue as usize].pending += 1,
        }
        Ok(Token::new(index, serial))
    }

    /// Places for as many operations, or for as many as there is room for. EAGAIN: there is none; EINVAL.
    pub(crate) fn reserve_some(&mut self, home: Home, tokens: &mut [Token]) -> Result<usize> {
        for (count, token) in tokens.iter_mut().enumerate() {
            match self.reserve(home) {
                Ok(place) => *token = place,
                Err(errno) if count == 0 => return Err(errno),
                Err(_) => return Ok(count),
            }
        }
        Ok(tokens.len())
    }

    /// The operation was refused, and what it owned is out: its place is free.
    pub(crate) fn unreserve(&mut self, token: Token) {
        let Some(flight) = self.flight(token) else { return };
        let (scope, notify) = (flight.scope, std::mem::replace(&mut flight.notify, Notify::Nobody));
        self.in_flight -= 1;
        self.leave_scope(scope);
        if let Notify::Queue(queue) = notify {
            self.queues[queue as usize].pending -= 1;
        }
        self.release(token);
    }

    fn release(&mut self, token: Token) {
        let free = self.free;
        if let Some(flight) = self.flight(token) {
            flight.phase = Phase::Free;
            flight.notify = Notify::Nobody;
            flight.next = free;
            self.free = token.index() as u32;
        }
    }

    /// The event of an operation was taken. An event that is not ours changes nothing.
    pub(crate) fn land(&mut self, token: Token, res: i64) -> Landed {
        let Some(flight) = self.flight(token).filter(|f| f.phase == Phase::Flying) else { return Landed::Kept };
        flight.phase = Phase::Done(res);
        let (detached, scope) = (flight.detached, flight.scope);
        let notify = std::mem::replace(&mut flight.notify, Notify::Nobody);
        self.in_flight -= 1;
        if let Some(ended) = &mut self.ended {
            ended.push(Ended::new(token.0, res));
        }
        if detached {
            return Landed::Discard(token);
        }
        self.leave_scope(scope);
        match notify {
            Notify::Nobody => Landed::Kept,
            Notify::Waker(waker) => {
                self.wakers -= 1;
                Landed::Wake(waker)
            }
            Notify::Queue(queue) => self.append(queue, token),
        }
    }

    /// What a detached operation owned was dropped.
    pub(crate) fn dropped(&mut self, token: Token) {
        let scope = self.flight(token).and_then(|f| f.scope);
        self.leave_scope(scope);
        self.release(token);
    }

    /// The result of an operation that has ended.
    pub(crate) fn result(&mut self, token: Token) -> Option<i64> {
        match self.flight(token)?.phase {
            Phase::Done(res) => Some(res),
            _ => None,
        }
    }

    /// As [`result`](State::result); the place is free then, so what it owned must be out.
    pub(crate) fn finish(&mut self, token: Token) {
        self.release(token);
    }

    /// Asks for `waker` to be woken at the end of the operation. Returns the one that was to be woken before: no waker
    /// is dropped under the lock, for that may run a task's destructors.
    pub(crate) fn watch(&mut self, token: Token, waker: Waker) -> Option<Waker> {
        let former = std::mem::replace(&mut self.flight(token)?.notify, Notify::Waker(waker));
        self.wakers += 1;
        self.unwatched(former)
    }

    fn unwatched(&mut self, former: Notify) -> Option<Waker> {
        let Notify::Waker(waker) = former else { return None };
        self.wakers -= 1;
        Some(waker)
    }

    /// Nobody will ask for the result. True: it has ended already, and what it owned is the caller's to drop, before
    /// [`finish`](State::finish). Also returns a waker to drop.
    pub(crate) fn detach(&mut self, token: Token) -> (bool, Option<Waker>) {
        let Some(flight) = self.flight(token) else { return (false, None) };
        if let Phase::Done(_) = flight.phase {
            return (true, None);
        }
        flight.detached = true;
        let former = std::mem::replace(&mut flight.notify, Notify::Nobody);
        (false, self.unwatched(former))
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<usize> {
        self.flying(|_| true)
    }

    /// The flights of a scope.
    pub(crate) fn of_scope(&self, scope: u32) -> Vec<usize> {
        self.flying(|flight| flight.scope == Some(scope))
    }

    fn flying(&self, which: impl Fn(&Flight) -> bool) -> Vec<usize> {
        let flights = self.flights.iter().enumerate();
        flights.filter(|(_, f)| f.phase == Phase::Flying && which(f)).map(|(index, _)| index).collect()
    }
}

/// Scopes.
impl State {
    pub(crate) fn open_scope(&mut self) -> u32 {
        let free = self.scopes.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.scopes.push(None);
            self.scopes.len() - 1
        });
        self.scopes[index] = Some(0);
        index as u32
    }

    /// Whether operations of the scope are in flight.
    pub(crate) fn scope_is_busy(&self, scope: u32) -> bool {
        self.scopes[scope as usize].is_some_and(|count| count > 0)
    }

    pub(crate) fn close_scope(&mut self, scope: u32) {
        self.scopes[scope as usize] = None;
    }

    fn leave_scope(&mut self, scope: Option<u32>) {
        if let Some(scope) = scope {
            self.scopes[scope as usize].iter_mut().for_each(|count| *count -= 1);
        }
    }
}

/// Queues.
impl State {
    pub(crate) fn open_queue(&mut self) -> u32 {
        let free = self.queues.iter().position(|queue| !queue.used);
        let index = free.unwrap_or_else(|| {
            self.queues.push(Queue::default());
            self.queues.len() - 1
        });
        self.queues[index] = Queue { head: NONE, tail: NONE, pending: 0, waker: None, used: true };
        index as u32
    }

    /// Puts an operation into a queue. Also returns a waker to drop.
    pub(crate) fn enqueue(&mut self, queue: u32, token: Token) -> (Landed, Option<Waker>) {
        let Some(flight) = self.flight(token) else { return (Landed::Kept, None) };
        let done = flight.phase != Phase::Flying;
        let former = std::mem::replace(&mut flight.notify, Notify::Queue(queue));
        let former = self.unwatched(former);
        self.queues[queue as usize].pending += 1;
        (if done { self.append(queue, token) } else { Landed::Kept }, former)
    }

    fn append(&mut self, queue: u32, token: Token) -> Landed {
        let index = token.index() as u32;
        let tail = std::mem::replace(&mut self.queues[queue as usize].tail, index);
        match self.flights.get_mut(tail as usize) {
            Some(last) => last.next = index,
            None => self.queues[queue as usize].head = index,
        }
        self.flights[token.index()].next = NONE;
        let waker = self.queues[queue as usize].waker.take();
        self.wakers -= u32::from(waker.is_some());
        waker.map_or(Landed::Kept, Landed::Wake)
    }

    /// The first of a queue's operations that has ended, and its result. Its place is free then, so what it owned must be
    /// taken out before anybody else can have it.
    pub(crate) fn dequeue(&mut self, queue: u32) -> Option<(Token, i64)> {
        let queue = &mut self.queues[queue as usize];
        let index = queue.head;
        let flight = self.flights.get_mut(index as usize)?;
        let Phase::Done(res) = flight.phase else { return None };
        queue.head = flight.next;
        if queue.head == NONE {
            queue.tail = NONE;
        }
        queue.pending -= 1;
        flight.phase = Phase::Free;
        flight.notify = Notify::Nobody;
        flight.next = self.free;
        self.free = index;
        Some((Token::new(index, flight.serial), res))
    }

    /// Whether the first of a queue's operations has ended.
    #[cfg(feature = "stream")]
    pub(crate) fn has_ended(&self, queue: u32) -> bool {
        self.queues[queue as usize].head != NONE
    }

    /// Operations of the queue that were not taken out.
    pub(crate) fn pending(&self, queue: u32) -> u32 {
        self.queues[queue as usize].pending
    }

    #[cfg(feature = "stream")]
    /// As [`watch`](State::watch), for whatever ends first.
    pub(crate) fn watch_queue(&mut self, queue: u32, waker: Waker) -> Option<Waker> {
        let former = self.queues[queue as usize].waker.replace(waker);
        self.wakers += u32::from(former.is_none());
        former
    }

    /// Ends a queue from which everything that has ended was taken; the rest is detached. Returns a waker to drop.
    pub(crate) fn close_queue(&mut self, queue: u32) -> Option<Waker> {
        for flight in &mut self.flights {
            if matches!(flight.notify, Notify::Queue(of) if of == queue) && flight.phase == Phase::Flying {
                flight.notify = Notify::Nobody;
                flight.detached = true;
            }
        }
        let queue = &mut self.queues[queue as usize];
        queue.used = false;
        let waker = queue.waker.take();
        self.wakers -= u32::from(waker.is_some());
        waker
    }
}
