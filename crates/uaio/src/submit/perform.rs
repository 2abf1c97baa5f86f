//! Who executes a checked request: what would not wait, or must survive the process, is executed at once; the rest waits for an
//! engine. An error refuses the request.

use super::{Fate, Submission};
use crate::abi::{RWF_APPEND, RWF_ATOMIC, RWF_DONTCACHE, RWF_DSYNC, RWF_NOAPPEND, RWF_NOWAIT, RWF_SYNC};
use crate::config::{Choice, Writes};
use crate::engine::inline;
use crate::errno::{Errno, Result};
use crate::facts::{Facts, Kind};
use crate::hints::{self, Was};
use crate::os::file;
use crate::request::{Op, Request};
use crate::stats::EngineId;

impl Submission {
    /// Executes what would not wait, or what must survive the process; the rest waits for an engine. An
    /// error refuses the request.
    pub(super) fn decide(&mut self, request: &mut Request, facts: &Facts) -> Result<Fate> {
        match request.op {
            Op::Fsync | Op::Fdatasync => Ok(self.wait_or_run(request)),
            Op::Poll => self.poll(request, facts),
            _ if request.rw_flags & (RWF_ATOMIC | RWF_DONTCACHE) != 0 => self.flagged(request, facts),
            Op::Read | Op::Write if request.stream => self.stream(request, facts),
            Op::Read => self.read(request, facts),
            Op::Write => self.write(request, facts),
        }
    }

    /// A library thread takes it; where there is none, this thread executes it.
    fn wait_or_run(&mut self, request: &mut Request) -> Fate {
        if self.have_engine() {
            return Fate::Waits;
        }
        self.ended.deliver(self.context);
        Fate::Ended(run(request))
    }

    pub(super) fn have_engine(&mut self) -> bool {
        let by_default =
            self.process.config.choice == Choice::Forced(EngineId::Inline) && !self.context.has_wish();
        if by_default || self.context.wants(EngineId::Inline) {
            return false;
        }
        if self.hold.is_none() {
            self.hold = self.service.hold();
        }
        self.hold.is_some()
    }

    fn poll(&mut self, request: &Request, facts: &Facts) -> Result<Fate> {
        match self.early.take().unwrap_or_else(|| inline::attempt(request, request.fd, 0)) {
            Ok(ready) => Ok(Fate::Ended(ready as i64)),
            Err(Errno::EAGAIN) if !facts.has_one_queue() => Err(Errno::EINVAL),
            Err(Errno::EAGAIN) => {
                // Nobody can poll inside io_submit: without a thread, or room for its files, there is no room for the request.
                if self.hold.is_none() {
                    self.hold = self.service.hold();
                }
                let possible = self.hold.is_some() && self.keep_room();
                possible.then_some(Fate::Waits).ok_or(Errno::EAGAIN)
            }
            Err(why) => Err(why),
        }
    }

    /// Makes sure that one more request finds room for its file and its eventfd.
    fn keep_room(&mut self) -> bool {
        let service = self.service;
        if self.batch.is_empty() && !service.is_reachable() {
            return false;
        }
        if service.room.is_roomy() {
            return true;
        }
        self.send();
        let kept = service.room.reserve_patiently(2);
        self.batch.room = if kept { 2 } else { 0 };
        kept
    }

    /// What came before goes first, as in `write`.
    fn flagged(&mut self, request: &Request, facts: &Facts) -> Result<Fate> {
        if request.op == Op::Write {
            self.send();
        }
        self.ended.deliver(self.context);
        if request.op == Op::Write && !facts.direct() {
            self.context.wait_for_cold_reads();
        }
        run_flagged(request)
    }

    fn stream(&mut self, request: &mut Request, facts: &Facts) -> Result<Fate> {
        self.ended.deliver(self.context);
        if request.offset == 0 || !facts.is_socket() {
            request.offset = if facts.has_positions() { request.offset } else { -1 };
        }
        if request.rw_flags & RWF_NOWAIT != 0 {
            return run_flagged(request);
        }
        match self.early.take() {
            Some(Ok(n)) if facts.never_waits() => request.advance(n),
            // Not done at all: it would wait, or goes another way.
            None | Some(Err(Errno::EAGAIN | Errno::EOPNOTSUPP | Errno::ESPIPE | Errno::EINTR)) => {}
            // An eventfd, for one, is at 0 after a read into a bad buffer.
            Some(done) => return Ok(Fate::Ended(request.result(done))),
        }
        if facts.non_blocking() || facts.never_waits() {
            return Ok(Fate::Ended(run_once(request)));
        }
        match inline::attempt_now(request, request.fd) {
            Err(Errno::EAGAIN) => Ok(self.wait_or_run(request)),
            Ok(n) if request.op == Op::Write && n > 0 && n < request.left() as usize => {
                request.advance(n);
                Ok(self.wait_or_run(request))
            }
            done => Ok(Fate::Ended(request.result(done))),
        }
    }

    /// Executes it now, however long that takes: events that are there do not wait for it.
    fn run_here(&mut self, request: &mut Request) -> i64 {
        self.ended.deliver(self.context);
        run(request)
    }

    fn read(&mut self, request: &mut Request, facts: &Facts) -> Result<Fate> {
        if facts.direct() {
            if facts.nowait() {
                return Ok(self.wait_or_run(request));
            }
            hints::note(request.fd, Was::Direct);
            return Ok(Fate::Ended(self.run_here(request)));
        }
        if request.rw_flags & RWF_NOWAIT != 0 {
            return Ok(Fate::Ended(run_once(request)));
        }
        if self.cold && facts.nowait() {
            return Ok(self.wait_for_disk(request));
        }
        let early = self.early.take();
        match early.unwrap_or_else(|| inline::attempt(request, request.fd, RWF_NOWAIT)) {
            Err(Errno::EAGAIN) => {
                hints::note_miss(request.fd);
                Ok(self.wait_for_disk(request))
            }
            Err(Errno::EOPNOTSUPP) => Ok(Fate::Ended(self.run_here(request))),
            Ok(n) if n > 0 && n < request.left() as usize && !ends_at(request, facts, n) => {
                request.advance(n);
                Ok(self.wait_for_disk(request))
            }
            done => Ok(Fate::Ended(request.result(done))),
        }
    }

    fn wait_for_disk(&mut self, request: &mut Request) -> Fate {
        request.cold = true;
        self.wait_or_run(request)
    }

    fn write(&mut self, request: &mut Request, facts: &Facts) -> Result<Fate> {
        if !facts.direct() {
            // What came before goes first: the reads among it must not see this write.
            self.send();
            self.ended.deliver(self.context);
            self.context.wait_for_cold_reads();
            hints::note(request.fd, Was::Buffered);
            return Ok(Fate::Ended(self.run_here(request)));
        }
        let own_rules = self.process.config.writes == Writes::Inline;
        let nowait = facts.nowait();
        if nowait && !own_rules && !must_be_inline(request, facts) {
            return Ok(self.wait_or_run(request));
        }
        if !nowait {
            hints::note(request.fd, Was::Direct);
        }
        self.send();
        Ok(Fate::Ended(self.run_here(request)))
    }
}

/// O_DIRECT writes that the kernel performs inside io_submit too: they change more than data.
fn must_be_inline(request: &Request, facts: &Facts) -> bool {
    let synchronous = facts.dsync() || request.rw_flags & (RWF_DSYNC | RWF_SYNC) != 0;
    let append = (facts.append() && request.rw_flags & RWF_NOAPPEND == 0) || request.rw_flags & RWF_APPEND != 0;
    let end = request.offset + i64::from(request.left());
    synchronous || append || (facts.kind == Kind::Regular && end > facts.size)
}

/// Whether a read of `n` bytes stopped at the end of the file. Asked anew: a write before it in this batch may have
/// moved the end, and only a part of what it wrote can be in the page cache as far as NOWAIT knows.
fn ends_at(request: &Request, facts: &Facts, n: usize) -> bool {
    facts.kind == Kind::Regular && file::stat(request.fd).is_ok_and(|now| request.offset + n as i64 >= now.st_size)
}

fn run(request: &mut Request) -> i64 {
    let fd = request.fd;
    inline::run_to_end(request, fd)
}

fn run_once(request: &Request) -> i64 {
    request.result(inline::attempt(request, request.fd, 0))
}

/// For flags of which only the attempt can tell whether the file takes them.
fn run_flagged(request: &Request) -> Result<Fate> {
    match inline::attempt(request, request.fd, 0) {
        Err(Errno::EOPNOTSUPP) => Err(Errno::EOPNOTSUPP),
        done => Ok(Fate::Ended(request.result(done))),
    }
}
