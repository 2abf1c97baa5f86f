//! A system call that is none of the six, through libc's `syscall`, which the preload library replaces.

use std::time::{Duration, Instant};

use super::super::calls::Calls;
use super::super::ground::Ground;
use super::super::job::{Job, Reading, Row, Sampler, Unit, World};
use crate::failure::Failure;

/// Calls between two looks at the clock: so many that the looks are not seen in the figure.
const CALLS: u32 = 1000;

pub struct OtherCall;

struct Caller {
    slice: Duration,
}

impl Job for OtherCall {
    fn name(&self) -> &'static str {
        "other-call"
    }

    fn what(&self) -> &'static str {
        "a system call that is not AIO, through libc's syscall(): with the preload library, and (the kernel's) without"
    }

    fn rows(&self, _: &Ground) -> Vec<Row> {
        vec![Row::new("getppid", Unit::Nanoseconds).preloaded()]
    }

    fn setup(&self, _: usize, world: &World) -> Result<Box<dyn Sampler>, Failure> {
        let calls = world.side.calls().expect("the row excludes the others");
        match (calls, is_preloaded()) {
            (Calls::Ours, false) => Err(Failure::plain("the preload library is not loaded")),
            (Calls::Kernel, true) => Err(Failure::plain("the preload library is loaded here, too")),
            _ => Ok(Box::new(Caller { slice: Duration::from_secs_f64(world.slice) })),
        }
    }
}

/// Whether `syscall` is the preload library's, which alone has this symbol.
fn is_preloaded() -> bool {
    // SAFETY: the name is a C string, and the address that comes is not used.
    !unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"uaio_core".as_ptr()) }.is_null()
}

impl Sampler for Caller {
    /// The quickest of some: a difference of nanoseconds is lost where anything interrupts.
    fn sample(&mut self) -> Result<Reading, Failure> {
        let (started, mut quickest) = (Instant::now(), Duration::MAX);
        while quickest == Duration::MAX || started.elapsed() < self.slice {
            let begun = Instant::now();
            for _ in 0..CALLS {
                // SAFETY: getppid has no arguments.
                unsafe { libc::syscall(libc::SYS_getppid) };
            }
            quickest = quickest.min(begun.elapsed());
        }
        Ok(Reading::of(quickest.as_nanos() as f64 / f64::from(CALLS)))
    }
}
