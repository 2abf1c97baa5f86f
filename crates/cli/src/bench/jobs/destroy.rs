//! io_destroy while requests are in flight.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::pipe;
use uaio::abi::{IoEvent, Iocb};

use super::super::calls::{Calls, Context};
use super::super::ground::{BLOCK, Ground};
use super::super::job::{DRAIN, Job, Reading, Row, Sampler, Unit, World};
use super::super::request::{Buffers, Op, Request};
use super::super::side::Side;
use crate::failure::Failure;

/// What is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    DirectRead,
    DirectWrite,
    ColdRead,
    Fsync,
    /// All with one eventfd.
    Poll,
    /// With an eventfd each.
    PollOwnEventfd,
    PipeRead,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::DirectRead, "O_DIRECT read"),
    (Kind::DirectWrite, "O_DIRECT write"),
    (Kind::ColdRead, "cold read"),
    (Kind::Fsync, "fsync"),
    (Kind::Poll, "POLL"),
    (Kind::PipeRead, "pipe read"),
];
const COUNTS: [usize; 3] = [1, 128, 4096];

const BLOCKS: &str = "its io_submit blocks on an empty pipe";

pub struct Destroy;

impl Job for Destroy {
    fn name(&self) -> &'static str {
        "destroy"
    }

    fn what(&self) -> &'static str {
        "io_destroy, with so many requests in flight"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        shapes().into_iter().map(row).collect()
    }

    fn setup(&self, row: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let calls = world.side.calls().expect("the row excludes the others");
        match shapes()[row] {
            None => Ok(Box::new(Empty { calls })),
            Some((Kind::PipeRead, _)) if blocks(world.side) => Err(Failure::plain(BLOCKS)),
            Some((kind, count)) => Ok(Box::new(InFlight::new(calls, kind, count, &world.ground)?)),
        }
    }
}

/// Engines that leave an empty pipe to the caller's thread, as the kernel does.
fn blocks(side: Side) -> bool {
    matches!(side, Side::Ours("inline" | "kernel"))
}

/// None: the empty context.
fn shapes() -> Vec<Option<(Kind, usize)>> {
    let all = KINDS.iter().flat_map(|(kind, _)| COUNTS.map(|count| (*kind, count)));
    let own_eventfds = (Kind::PollOwnEventfd, 4096);
    [None].into_iter().chain(all.chain([own_eventfds]).map(Some)).collect()
}

fn row(shape: Option<(Kind, usize)>) -> Row {
    let Some((kind, count)) = shape else {
        return Row::new("none", Unit::Nanoseconds);
    };
    let name = KINDS.iter().find(|(k, _)| *k == kind).map_or("POLL, an eventfd each", |(_, name)| name);
    let row = Row::new(format!("{count} {name}"), Unit::Nanoseconds);
    if kind == Kind::PipeRead { row.without_kernel(BLOCKS) } else { row }
}

struct Empty {
    calls: Calls,
}

impl Sampler for Empty {
    fn sample(&mut self) -> Result<Reading, Failure> {
        let cycles = if self.calls == Calls::Ours { 100 } else { 1 };
        let mut spent = 0;
        for _ in 0..cycles {
            let context = Context::new(self.calls, 128)?;
            let started = Instant::now();
            context.destroy()?;
            spent += started.elapsed().as_nanos();
        }
        Ok(Reading::of(spent as f64 / f64::from(cycles)))
    }
}

/// The requests, and what they need.
struct InFlight {
    calls: Calls,
    kind: Kind,
    /// What they are on.
    file: File,
    blocks: u64,
    eventfds: Vec<EventFd>,
    buffers: Buffers,
    iocbs: Vec<Iocb>,
    /// The pipe's other end.
    _writer: Option<OwnedFd>,
}

impl InFlight {
    fn new(calls: Calls, kind: Kind, count: usize, ground: &Ground) -> Result<InFlight, Failure> {
        let (file, writer) = open(kind, ground)?;
        let in_scratch = matches!(kind, Kind::DirectWrite | Kind::Fsync);
        let blocks = if in_scratch { ground.scratch_blocks } else { ground.data_blocks };
        let eventfds = match kind {
            Kind::Poll => eventfds(1)?,
            Kind::PollOwnEventfd => eventfds(count)?,
            _ => vec![],
        };
        let (buffers, iocbs) = (Buffers::new(count), vec![Iocb::default(); count]);
        Ok(InFlight { calls, kind, file, blocks, eventfds, buffers, iocbs, _writer: writer })
    }

    fn fill(&mut self) -> Result<(), Failure> {
        let op = match self.kind {
            Kind::DirectRead | Kind::ColdRead | Kind::PipeRead => Op::Read,
            Kind::DirectWrite => Op::Write,
            Kind::Fsync => Op::Fsync,
            Kind::Poll | Kind::PollOwnEventfd => Op::Poll,
        };
        if self.kind == Kind::ColdRead {
            posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(Failure::plain)?;
        }
        let fd = self.file.as_raw_fd();
        for tag in 0..self.iocbs.len() {
            let block = if self.kind == Kind::PipeRead { 0 } else { fastrand::u64(..self.blocks) };
            let offset = block * BLOCK as u64;
            let request = Request { tag, op, fd, buffer: self.buffers.at(tag), len: BLOCK, offset };
            self.iocbs[tag] = request.iocb(self.eventfd(tag));
        }
        Ok(())
    }

    fn eventfd(&self, tag: usize) -> Option<RawFd> {
        let count = self.eventfds.len().max(1);
        self.eventfds.get(tag % count).map(AsRawFd::as_raw_fd)
    }

    /// Fresh requests in a fresh context.
    fn submit(&mut self) -> Result<Context, Failure> {
        self.fill()?;
        let context = Context::new(self.calls, self.iocbs.len())?;
        let pointers: Vec<*mut Iocb> = self.iocbs.iter_mut().map(|iocb| iocb as *mut Iocb).collect();
        // SAFETY: iocbs, buffers and files are ours, and the context is destroyed before they are touched again.
        unsafe { context.submit(&pointers) }?;
        Ok(context)
    }

    /// How long the same requests take when they are waited for.
    fn drain(&mut self) -> Result<f64, Failure> {
        let mut events = vec![IoEvent::default(); self.iocbs.len()];
        let context = self.submit()?;
        let (started, mut got) = (Instant::now(), 0);
        while got < events.len() {
            got += context.events(events.len() - got, &mut events[got..])?;
        }
        Ok(started.elapsed().as_nanos() as f64)
    }

    /// Every POLL must have counted.
    fn unsignalled(&self) -> Option<String> {
        let (all, each) = (self.eventfds.len(), self.iocbs.len() / self.eventfds.len().max(1));
        let right = self.eventfds.iter().filter(|eventfd| eventfd.read() == Ok(each as u64)).count();
        (right < all).then(|| format!("{} of {all} eventfds did not count {each} after io_destroy", all - right))
    }
}

impl Sampler for InFlight {
    fn sample(&mut self) -> Result<Reading, Failure> {
        let compared = self.calls == Calls::Ours && self.kind == Kind::DirectRead;
        let drain = if compared { Some(self.drain()?) } else { None };
        let started = Instant::now();
        let context = self.submit()?;
        let submitted = Instant::now();
        context.destroy()?;
        let reading = Reading::of(submitted.elapsed().as_nanos() as f64);
        let reading = reading.note("submit_ns", (submitted - started).as_nanos() as f64);
        let reading = reading.complain(self.unsignalled());
        Ok(drain.into_iter().fold(reading, |reading, ns| reading.note(DRAIN, ns)))
    }
}

fn open(kind: Kind, ground: &Ground) -> Result<(File, Option<OwnedFd>), Failure> {
    Ok(match kind {
        Kind::DirectRead => (ground.open_data(true)?, None),
        Kind::ColdRead => (ground.open_data(false)?, None),
        Kind::DirectWrite => (ground.open_scratch(true)?, None),
        Kind::Fsync => (ground.open_scratch(false)?, None),
        Kind::Poll | Kind::PollOwnEventfd | Kind::PipeRead => {
            let (reader, writer) = pipe().map_err(Failure::plain)?;
            (reader.into(), Some(writer))
        }
    })
}

/// So many, not blocking; the limit of descriptors is raised for them.
pub fn eventfds(count: usize) -> Result<Vec<EventFd>, Failure> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(Failure::plain)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(Failure::plain)?;
    let make = || EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK);
    (0..count).map(|_| make().map_err(|e| Failure::plain(format!("eventfd: {e}")))).collect()
}
