//! Pipes, sockets, terminals, eventfds: who holds an end, and which POLLs end when something happens to it.

use super::World;
use super::fds::Fd;
use crate::sys;

/// The other end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open(i32),
    /// No descriptor names it, but a POLL holds it.
    Held,
    Closed,
}

impl World {
    /// A descriptor that names `file`.
    pub(super) fn open_number(&self, file: Fd) -> Option<i32> {
        let at = self.names.iter().position(|name| *name == Some(file))?;
        Some(self.numbers[at])
    }

    pub(super) fn end(&self, file: Fd) -> End {
        let Some(peer) = file.peer() else { return End::Closed };
        match self.open_number(peer) {
            Some(number) => End::Open(number),
            None if self.is_held(peer) => End::Held,
            None => End::Closed,
        }
    }

    fn is_held(&self, file: Fd) -> bool {
        self.contexts.iter().flat_map(|c| &c.waiting).any(|w| w.file == file)
    }

    pub(super) fn feed(&mut self, fd: Fd, len: u16) {
        let Some(file) = self.name(fd).filter(|f| f.stream() && *f != Fd::Master) else { return };
        if self.is_child || self.unsteady.contains(&file) {
            return self.line("skipped: nobody can feed it");
        }
        let number = match (file, self.end(file)) {
            (Fd::Count | Fd::CountNb, _) => self.number(fd),
            (_, End::Open(number)) => number,
            _ => return self.line("skipped: its other end is closed"),
        };
        self.settle();
        if file == Fd::PipeW || file == Fd::PipeNbW || sys::ready(number, libc::POLLOUT as u16) == 0 {
            return self.line("skipped: no room");
        }
        let one = 1u64.to_ne_bytes();
        let bytes = super::fds::pattern(3, len.clamp(1, 1000) as usize);
        let before = sys::unread(self.number(fd));
        let written = sys::write(number, if file.peer().is_none() { &one } else { &bytes });
        self.line(&format!("fed: {written}"));
        if file == Fd::Terminal {
            self.wait_for_terminal(fd, before + written.max(0) as i32);
        }
        const IN: u16 = (libc::POLLIN | libc::POLLRDNORM) as u16;
        self.wake(file, IN);
        // A19: what is taken away again before ours has looked, was not there for it.
        self.settle();
    }

    /// A kernel thread carries what was written to the master, in pieces.
    fn wait_for_terminal(&self, fd: Fd, bytes: i32) {
        for _ in 0..5000 {
            if sys::unread(self.number(fd)) >= bytes {
                return;
            }
            sys::nap(100);
        }
    }

    /// POLLs on `file` that asked for any of `happened` end.
    fn wake(&mut self, file: Fd, happened: u16) {
        let mut ended = Vec::new();
        for context in &mut self.contexts {
            let (woken, rest) = context
                .waiting
                .drain(..)
                .partition(|w| w.file == file && (happened == 0 || w.mask & happened != 0));
            context.waiting = rest;
            let woken: Vec<_> = woken;
            context.due += woken.len();
            ended.extend(woken);
        }
        for waiter in ended {
            self.signal(waiter.resfd);
            self.release(waiter.file);
        }
    }

    pub(super) fn close(&mut self, fd: Fd) {
        let Some(file) = self.name(fd) else { return self.line("skipped: closed already") };
        if self.is_child && file.stream() {
            return self.line("skipped: the parent's");
        }
        sys::close(self.number(fd));
        self.names[fd as usize] = None;
        self.closed(file);
    }

    pub(super) fn dup(&mut self, from: Fd, onto: Fd) {
        let fixed = |fd| matches!(fd, Fd::Closed | Fd::Negative);
        let (Some(file), old) = (self.name(from), self.name(onto)) else { return };
        let streams = file.stream() || old.is_some_and(Fd::stream);
        if from == onto || fixed(onto) || fixed(from) || (self.is_child && streams) {
            return self.line("skipped: no dup");
        }
        sys::dup_onto(self.number(from), self.number(onto));
        self.names[onto as usize] = Some(file);
        if let Some(old) = old {
            self.closed(old);
        }
    }

    /// The program has given up a descriptor of `file`.
    fn closed(&mut self, file: Fd) {
        if self.open_number(file).is_some() || self.is_held(file) {
            return;
        }
        self.gone(file);
    }

    /// A request has given up `file`: if it was the last holder, the file goes away at a moment that nobody knows.
    pub(super) fn release(&mut self, file: Fd) {
        if self.open_number(file).is_some() || self.is_held(file) || self.unsteady.contains(&file) {
            return;
        }
        self.unsteady.extend([Some(file), file.peer()].into_iter().flatten());
        self.gone(file);
    }

    /// The other end hangs up: every POLL there ends.
    fn gone(&mut self, file: Fd) {
        if let Some(peer) = file.peer() {
            self.wake(peer, 0);
        }
    }
}
