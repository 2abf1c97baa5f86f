//! io_submit: each iocb checked in the kernel's order, then executed at once or given to an engine.

use crate::abi::{IOCB_FLAG_RESFD, Iocb};
use crate::abi::{RWF_APPEND, RWF_ATOMIC, RWF_DONTCACHE, RWF_DSYNC, RWF_NOAPPEND, RWF_NOWAIT, RWF_SYNC};
use crate::config::{Choice, Writes};
use crate::context::Context;
use crate::counters;
use crate::engine::scripted::Scripted;
use crate::engine::{Batch, Engine, inline};
use crate::errno::{Errno, Result};
use crate::facts::{self, Facts, Kind};
use crate::os::probe::Pages;
use crate::process::Process;
use crate::request::{Op, Request, check_shape};
use crate::service::{Hold, Service};
use crate::stats::EngineId;

/// Where an iocb has its key.
const KEY: usize = core::mem::offset_of!(Iocb, key);

/// What must happen to a checked request.
#[derive(Clone, Copy)]
enum Fate {
    /// It has ended, with this result.
    Ended(i64),
    /// It would wait: a library thread has it.
    Waits,
}

/// One io_submit.
pub(crate) struct Submission {
    process: &'static Process,
    service: &'static Service,
    /// What the context follows, with the engine `scripted`.
    script: Option<&'static Scripted>,
    context: &'static Context,
    batch: Batch,
    /// The library thread is needed until the batch is sent.
    hold: Option<Hold>,
    /// The last descriptor asked for its flags, and these.
    flags: Option<(i32, i32)>,
    /// What came of a read before it was known what its file is: an error, or less than was asked for.
    early: Option<Result<usize>>,
    /// The last descriptor looked at: batches mostly have one.
    facts: Option<Facts>,
    /// The last descriptor that was found to be an eventfd.
    eventfd: Option<i32>,
    /// Of the program's memory.
    pages: Pages,
}

impl Submission {
    pub(crate) fn new(process: &'static Process, context: &'static Context) -> Submission {
        let service = process.service_of(context);
        Submission {
            process,
            service,
            script: process.script_of(context),
            context,
            batch: Batch::new(),
            hold: None,
            flags: None,
            early: None,
            facts: None,
            eventfd: None,
            pages: Pages::new(),
        }
    }

    /// Submits up to `nr` requests; returns how many were accepted, or why the first was not.
    ///
    /// # Safety
    /// As io_submit: what the iocbs name must stay valid until their events.
    pub(crate) unsafe fn run(mut self, nr: usize, iocbpp: usize) -> Result<usize> {
        let nr = match self.script {
            Some(script) => script.submit(self.context, nr)?,
            None => nr,
        };
        let mut accepted = 0;
        let mut refused = Errno::EINVAL;
        while accepted < nr {
            // SAFETY: the caller's promise.
            match unsafe { self.one(iocbpp.wrapping_add(accepted * size_of::<usize>())) } {
                Ok(()) => accepted += 1,
                Err(why) => {
                    refused = why;
                    break;
                }
            }
        }
        self.send();
        if accepted > 0 || nr == 0 { Ok(accepted) } else { Err(refused) }
    }

    fn send(&mut self) {
        if !self.batch.is_empty() {
            (&self.service).submit(&mut self.batch);
        }
    }

    /// # Safety
    /// As `run`.
    unsafe fn one(&mut self, pointer: usize) -> Result<()> {
        // SAFETY: any bytes are an address, and `copy_in` reads only what it found readable.
        let address: usize = unsafe { self.copy_in(pointer) }?;
        // An iocb whose key can be written can mostly be read: one look for both. If not, the next one tells.
        self.pages.writable(address.wrapping_add(KEY), 4);
        // SAFETY: as above.
        let iocb: Iocb = unsafe { self.copy_in(address) }?;
        check_shape(&iocb)?;
        self.context.reserve()?;
        // SAFETY: the caller's promise.
        unsafe { self.start(&iocb, address) }.inspect_err(|_| self.context.unreserve())
    }

    /// # Safety
    /// As `run`. The request is counted in.
    unsafe fn start(&mut self, iocb: &Iocb, address: usize) -> Result<()> {
        let flags = self.flags(iocb.fildes as i32)?;
        if iocb.flags & IOCB_FLAG_RESFD != 0 {
            self.check_resfd(iocb.resfd as i32)?;
        }
        self.clear_key(address)?;
        self.early = None;
        if self.may_be_early(iocb, flags) {
            let mut request = Request::plain_read(iocb, address);
            request.started_ns = counters::clock_ns();
            let done = inline::attempt(&request, request.fd, RWF_NOWAIT);
            if done == Ok(request.want as usize) {
                let whole = Fate::Ended(i64::from(request.want));
                self.accept(request, whole);
                return Ok(());
            }
            self.early = Some(done);
        }
        let facts = self.facts(iocb.fildes as i32, flags)?;
        let mut request = Request::check(iocb, address, &facts)?;
        request.started_ns = counters::clock_ns();
        let decided = match self.script {
            Some(script) => self.act(script, &mut request, &facts),
            None => self.decide(&mut request, &facts),
        };
        match decided {
            Ok(fate) => {
                self.accept(request, fate);
                Ok(())
            }
            Err(why) => {
                request.release();
                Err(why)
            }
        }
    }

    /// As [`Self::decide`], with what the script makes of it.
    fn act(&mut self, script: &Scripted, request: &mut Request, facts: &Facts) -> Result<Fate> {
        let plan = script.plan(self.context, request, facts);
        let fate = match plan.fails {
            Some(errno) => Fate::Ended(errno.negated() as i64),
            None => self.decide(request, facts)?,
        };
        let Fate::Ended(res) = fate else { return Ok(fate) };
        request.spoil(res);
        if request.delay_us > 0 && self.have_engine() {
            request.perform(res);
            return Ok(Fate::Waits);
        }
        Ok(fate)
    }

    /// Who executes it, for the counters.
    fn engine(&self, fate: Fate) -> EngineId {
        match fate {
            _ if self.script.is_some() => EngineId::Scripted,
            Fate::Ended(_) => EngineId::Inline,
            Fate::Waits => (&self.service).id(),
        }
    }

    /// Copies a value from the program's memory. EFAULT.
    ///
    /// # Safety
    /// Any bytes are a valid `T`.
    unsafe fn copy_in<T>(&mut self, address: usize) -> Result<T> {
        if !self.pages.readable(address, size_of::<T>()) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: readable a moment ago; any bytes are valid, by the caller's promise.
        Ok(unsafe { (address as *const T).read_unaligned() })
    }

    /// Stores 0 to `aio_key`, as io_cancel demands it. EFAULT: the iocb cannot be written.
    fn clear_key(&mut self, address: usize) -> Result<()> {
        if !self.pages.writable(address + KEY, 4) {
            return Err(Errno::EFAULT);
        }
        // SAFETY: writable a moment ago.
        unsafe { ((address + KEY) as *mut u32).write_unaligned(0) };
        Ok(())
    }

    /// EBADF: `fd` is not open, or open with O_PATH.
    fn flags(&mut self, fd: i32) -> Result<i32> {
        if let Some((_, flags)) = self.flags.filter(|known| known.0 == fd) {
            return Ok(flags);
        }
        let flags = Facts::flags_of(fd)?;
        self.flags = Some((fd, flags));
        Ok(flags)
    }

    fn facts(&mut self, fd: i32, flags: i32) -> Result<Facts> {
        if let Some(facts) = self.facts.filter(|f| f.fd == fd) {
            return Ok(facts);
        }
        let facts = Facts::with_flags(fd, flags)?;
        self.facts = Some(facts);
        Ok(facts)
    }

    /// A read that may be tried before it is known what the file is: whatever it is, a NOWAIT read at a position that brings
    /// all that was asked for is the kernel's answer. A file without positions or without iterator refuses it.
    fn may_be_early(&self, iocb: &Iocb, flags: i32) -> bool {
        let known = self.facts.is_some_and(|f| f.fd == iocb.fildes as i32);
        !known && flags & libc::O_DIRECT == 0 && self.script.is_none() && Request::is_plain_read(iocb)
    }

    fn check_resfd(&mut self, fd: i32) -> Result<()> {
        if self.eventfd != Some(fd) {
            facts::check_eventfd(fd)?;
            self.eventfd = Some(fd);
        }
        Ok(())
    }

    /// Nothing can be refused any more.
    fn accept(&mut self, mut request: Request, fate: Fate) {
        counters::count_request(self.engine(fate), request.opcode);
        match fate {
            Fate::Ended(res) => {
                self.context.finish_inline(&mut request, res);
            }
            Fate::Waits => {
                if self.batch.is_full() {
                    self.send();
                }
                let (fd, resfd) = (request.fd, request.resfd);
                let slot = self.context.enslot(request);
                self.batch.add(slot, fd, resfd);
                if self.batch.room > 0 {
                    self.send();
                }
            }
        }
    }

    /// Executes what would not wait, or what must survive the process; the rest waits for an engine. An
    /// error refuses the request.
    fn decide(&mut self, request: &mut Request, facts: &Facts) -> Result<Fate> {
        match request.op {
            Op::Fsync | Op::Fdatasync => Ok(self.wait_or_run(request)),
            Op::Poll => self.poll(request, facts),
            _ if request.rw_flags & (RWF_ATOMIC | RWF_DONTCACHE) != 0 => run_flagged(request),
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
        Fate::Ended(run(request))
    }

    fn have_engine(&mut self) -> bool {
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
        match inline::attempt(request, request.fd, 0) {
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
        let service = &self.process.service;
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

    fn stream(&mut self, request: &mut Request, facts: &Facts) -> Result<Fate> {
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

    fn read(&mut self, request: &mut Request, facts: &Facts) -> Result<Fate> {
        if facts.direct() {
            let waits = facts.nowait();
            return Ok(if waits { self.wait_or_run(request) } else { Fate::Ended(run(request)) });
        }
        if request.rw_flags & RWF_NOWAIT != 0 {
            return Ok(Fate::Ended(run_once(request)));
        }
        let early = self.early.take();
        match early.unwrap_or_else(|| inline::attempt(request, request.fd, RWF_NOWAIT)) {
            Err(Errno::EAGAIN) => {
                request.cold = true;
                Ok(self.wait_or_run(request))
            }
            Err(Errno::EOPNOTSUPP) => Ok(Fate::Ended(run(request))),
            Ok(n) if n > 0 && n < request.left() as usize && !ends_at(request, facts, n) => {
                request.advance(n);
                request.cold = true;
                Ok(self.wait_or_run(request))
            }
            done => Ok(Fate::Ended(request.result(done))),
        }
    }

    fn write(&mut self, request: &mut Request, facts: &Facts) -> Result<Fate> {
        if !facts.direct() {
            // What came before goes first: the reads among it must not see this write.
            self.send();
            self.context.wait_for_cold_reads();
            return Ok(Fate::Ended(run(request)));
        }
        let own_rules = self.process.config.writes == Writes::Inline;
        let inline = own_rules || must_be_inline(request, facts) || !facts.nowait();
        if !inline {
            return Ok(self.wait_or_run(request));
        }
        self.send();
        Ok(Fate::Ended(run(request)))
    }
}

/// O_DIRECT writes that the kernel performs inside io_submit too: they change more than data.
fn must_be_inline(request: &Request, facts: &Facts) -> bool {
    let synchronous = facts.dsync() || request.rw_flags & (RWF_DSYNC | RWF_SYNC) != 0;
    let append = (facts.append() && request.rw_flags & RWF_NOAPPEND == 0) || request.rw_flags & RWF_APPEND != 0;
    let end = request.offset + i64::from(request.left());
    synchronous || append || (facts.kind == Kind::Regular && end > facts.size)
}

/// Whether a read of `n` bytes stopped at the end of the file.
fn ends_at(request: &Request, facts: &Facts, n: usize) -> bool {
    facts.kind == Kind::Regular && request.offset + n as i64 >= facts.size
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
