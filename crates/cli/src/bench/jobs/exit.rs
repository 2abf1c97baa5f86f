//! The end of a process that has contexts.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

use nix::sys::wait::waitpid;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, fork, pipe};
use uaio::abi::IoEvent;

use super::super::calls::{Calls, Context};
use super::super::ground::{BLOCK, Ground};
use super::super::job::{Job, Reading, Row, Sampler, Unit, World};
use super::super::request::{Buffers, Op, Request};
use crate::failure::Failure;

const CONTEXTS: usize = 100;

pub struct Exit;

struct Ends {
    calls: Calls,
    file: File,
}

impl Job for Exit {
    fn name(&self) -> &'static str {
        "exit"
    }

    fn what(&self) -> &'static str {
        "from _exit with contexts, each of which has done an O_DIRECT read, to its end for the parent, beyond _exit without"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        vec![Row::new("100 contexts", Unit::Nanoseconds)]
    }

    fn setup(&self, _: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let calls = world.side.calls().expect("the row excludes the others");
        Ok(Box::new(Ends { calls, file: world.ground.open_data(true)? }))
    }
}

impl Sampler for Ends {
    fn sample(&mut self) -> Result<Reading, Failure> {
        let without = self.end(0)?;
        let with = self.end(CONTEXTS)?;
        Ok(Reading::of(with - without).note("with_ns", with).note("without_ns", without))
    }
}

impl Ends {
    /// Nanoseconds that a process with `count` contexts takes to end.
    fn end(&self, count: usize) -> Result<f64, Failure> {
        let (reader, writer) = pipe().map_err(Failure::plain)?;
        // SAFETY: this process has one thread, so the child may do all that it could.
        match unsafe { fork() }.map_err(Failure::plain)? {
            ForkResult::Child => self.live(count, writer.into()),
            ForkResult::Parent { child } => {
                drop(writer);
                waitpid(child, None).map_err(Failure::plain)?;
                let ended = now();
                let mut began = [0; 8];
                File::from(reader)
                    .read_exact(&mut began)
                    .map_err(|_| Failure::plain("it could not use a context"))?;
                Ok((ended - i64::from_ne_bytes(began)) as f64)
            }
        }
    }

    fn live(&self, count: usize, mut writer: File) -> ! {
        let contexts: Result<Vec<Context>, Failure> = (0..count).map(|_| self.used_context()).collect();
        let good = contexts.is_ok() && writer.write_all(&now().to_ne_bytes()).is_ok();
        // SAFETY: it takes any number. The contexts are left alone: `contexts` is never dropped.
        unsafe { libc::_exit(i32::from(!good)) }
    }

    fn used_context(&self) -> Result<Context, Failure> {
        let context = Context::new(self.calls, 32)?;
        let mut buffers = Buffers::new(1);
        let (fd, buffer) = (self.file.as_raw_fd(), buffers.at(0));
        let mut iocb = Request { tag: 0, op: Op::Read, fd, buffer, len: BLOCK, offset: 0 }.iocb(None);
        // SAFETY: iocb and buffer live until the event has come.
        unsafe { context.submit(&[&raw mut iocb]) }?;
        context.events(1, &mut [IoEvent::default()])?;
        Ok(context)
    }
}

/// CLOCK_MONOTONIC, the same in both processes, nanoseconds.
fn now() -> i64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}
