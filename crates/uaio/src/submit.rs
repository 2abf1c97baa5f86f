//! io_submit: each iocb checked in the kernel's order, then executed at once or given to an engine.

mod ended;
mod guess;
mod perform;

use crate::abi::{IOCB_CMD_PREAD, IOCB_FLAG_RESFD, IoEvent, Iocb, RWF_NOWAIT};
use crate::context::{Context, Ended};
use crate::counters;
use crate::engine::scripted::Scripted;
use crate::engine::{Batch, Engine, inline};
use crate::errno::{Errno, Result};
use crate::facts::{self, Facts};
use crate::hints::{self, Was};
use crate::os::probe::Pages;
use crate::process::Process;
use crate::request::{Request, check_shape};
use crate::service::{Hold, Service};
use crate::stats::EngineId;
use ended::Row;
use guess::Tried;

/// Where an iocb has its key.
const KEY: usize = core::mem::offset_of!(Iocb, key);

/// Places that are taken at once.
const MOST_PLACES: usize = 32;

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
    /// What has ended; its events are due before anything that may wait, and at the end.
    ended: Row,
    /// Places in the context that are taken already.
    reserved: u32,
    /// The library thread is needed until the batch is sent.
    hold: Option<Hold>,
    /// The last descriptor asked for its flags, and these.
    flags: Option<(i32, i32)>,
    /// What came of a read before it was known what its file is: an error, or less than was asked for.
    early: Option<Result<usize>>,
    /// The request at hand is a read of a file whose last reads were not in the page cache.
    cold: bool,
    /// The last descriptor looked at: batches mostly have one.
    facts: Option<Facts>,
    /// The last descriptor that was found to be an eventfd.
    eventfd: Option<i32>,
    /// Of the program's memory.
    pages: Pages,
}

impl Submission {
    pub(crate) fn new(process: &'static Process, context: &'static Context, pages: Pages) -> Submission {
        let service = process.service_of(context);
        Submission {
            process,
            service,
            script: process.script_of(context),
            context,
            batch: Batch::new(),
            ended: Row::new(),
            reserved: 0,
            hold: None,
            flags: None,
            early: None,
            cold: false,
            facts: None,
            eventfd: None,
            pages,
        }
    }

    /// Submits up to `nr` requests; returns how many were accepted, or why the first was not.
    ///
    /// # Safety
    /// As io_submit: what the iocbs name must stay valid until their events.
    pub(crate) unsafe fn run(&mut self, nr: usize, iocbpp: usize) -> Result<usize> {
        let nr = match self.script {
            Some(script) => script.submit(self.context, nr)?,
            None => nr,
        };
        let mut accepted = 0;
        let mut refused = Errno::EINVAL;
        while accepted < nr {
            // SAFETY: the caller's promise.
            match unsafe { self.one(iocbpp.wrapping_add(accepted * size_of::<usize>()), nr - accepted) } {
                Ok(()) => accepted += 1,
                Err(why) => {
                    refused = why;
                    break;
                }
            }
        }
        self.send();
        self.ended.deliver(self.context);
        if self.reserved > 0 {
            self.context.unreserve(self.reserved);
        }
        if accepted > 0 || nr == 0 { Ok(accepted) } else { Err(refused) }
    }

    fn send(&mut self) {
        if !self.batch.is_empty() {
            self.ended.deliver(self.context);
            (&self.service).submit(&mut self.batch);
        }
    }

    /// One of the `left` requests that are still to come.
    ///
    /// # Safety
    /// As `run`.
    unsafe fn one(&mut self, pointer: usize, left: usize) -> Result<()> {
        // The array and the iocbs mostly are in memory that can be written, and often in the same page: one look.
        self.pages.entry(pointer, size_of::<usize>());
        // SAFETY: any bytes are an address, and `copy_in` reads only what it found readable.
        let address: usize = unsafe { self.copy_in(pointer) }?;
        // An iocb whose key can be written can mostly be read, too. If not, the next look tells.
        self.pages.writable(address.wrapping_add(KEY), 8);
        // SAFETY: as above.
        let iocb: Iocb = unsafe { self.copy_in(address) }?;
        check_shape(&iocb)?;
        if self.reserved == 0 {
            self.reserved = self.context.reserve(left.min(MOST_PLACES) as u32)?;
        }
        // SAFETY: the caller's promise.
        unsafe { self.start(&iocb, address) }?;
        self.reserved -= 1;
        Ok(())
    }

    /// # Safety
    /// As `run`. There is a place for the request.
    unsafe fn start(&mut self, iocb: &Iocb, address: usize) -> Result<()> {
        let fd = iocb.fildes as i32;
        self.early = None;
        if let Some(guess) = self.guess(iocb) {
            // The descriptor is the first thing that the kernel looks at.
            self.look_at_rest(iocb, address).map_err(|why| self.flags(fd).err().unwrap_or(why))?;
            let started_ns = counters::clock_ns();
            match self.attempt(guess, iocb) {
                Tried::Ended(res) => {
                    self.clear_key(address)?;
                    self.end(iocb, address, res, started_ns);
                    return Ok(());
                }
                Tried::Early(done) => self.early = Some(done),
                Tried::Refused => {}
            }
        }
        let flags = self.flags(fd)?;
        self.check_rest(iocb, address)?;
        if self.early.is_none() && self.may_be_early(iocb, flags) {
            let request = Request::plain_read(iocb, address);
            let started_ns = counters::clock_ns();
            let done = inline::attempt(&request, fd, RWF_NOWAIT);
            if done == Ok(request.want as usize) {
                hints::note(fd, Was::Buffered);
                self.end(iocb, address, i64::from(request.want), started_ns);
                return Ok(());
            }
            self.early = Some(done);
        }
        let facts = self.facts(fd, flags)?;
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

    /// What the kernel looks at between the descriptor and the opcode: the eventfd and the key.
    fn check_rest(&mut self, iocb: &Iocb, address: usize) -> Result<()> {
        self.look_at_rest(iocb, address)?;
        self.clear_key(address)
    }

    /// The same, with the key left as it is.
    fn look_at_rest(&mut self, iocb: &Iocb, address: usize) -> Result<()> {
        if iocb.flags & IOCB_FLAG_RESFD != 0 {
            self.check_resfd(iocb.resfd as i32)?;
        }
        if self.pages.writable(address + KEY, 4) { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// A request has ended on this thread.
    fn end(&mut self, iocb: &Iocb, address: usize, res: i64, started_ns: u64) {
        let event = IoEvent { data: iocb.data, obj: address as u64, res, res2: 0 };
        let resfd = if iocb.flags & IOCB_FLAG_RESFD != 0 { iocb.resfd as i32 } else { -1 };
        self.ended.add(self.context, Ended { event, resfd }, EngineId::Inline, iocb.opcode, started_ns);
        if resfd >= 0 {
            // At once: another thread may give its number to another file.
            self.ended.deliver(self.context);
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
        !known
            && !self.cold
            && flags & libc::O_DIRECT == 0
            && self.script.is_none()
            && iocb.opcode == IOCB_CMD_PREAD
            && Request::is_plain(iocb)
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
        let engine = self.engine(fate);
        match fate {
            Fate::Ended(res) => {
                request.release();
                let event = IoEvent { data: request.data, obj: request.obj, res, res2: 0 };
                let ended = Ended { event, resfd: request.resfd };
                let at_once = ended.resfd >= 0;
                self.ended.add(self.context, ended, engine, request.opcode, request.started_ns);
                if at_once {
                    self.ended.deliver(self.context);
                }
            }
            Fate::Waits => {
                counters::count_request(engine, request.opcode);
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
}
