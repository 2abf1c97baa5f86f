//! Who is measured.

use clap::ValueEnum;
use uaio::stats::ENGINE_NAMES;

use super::calls::Calls;
use crate::env::Engine;

/// One column of the comparison. Each lives in a process of its own: an engine is chosen once per process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The kernel's AIO: what the others are compared with.
    Kernel,
    /// uaio on this engine.
    Ours(&'static str),
    /// io_uring without AIO in front of it.
    IoUring,
    /// The C library's aio_read(3) and aio_write(3).
    Posix,
}

/// The sides beside the kernel's, unless others are asked for.
pub const DEFAULT: &str = "auto,uring,threads,io_uring,posix";
/// The kernel's AIO, as the child's command line and the JSON have it.
const KERNEL: &str = "kernel-aio";

impl Side {
    /// From the command line.
    pub fn parse(text: &str) -> Result<Side, String> {
        match text {
            KERNEL => Ok(Side::Kernel),
            "io_uring" => Ok(Side::IoUring),
            "posix" => Ok(Side::Posix),
            _ => engine(text).map(Side::Ours).ok_or_else(|| "not an engine of uaio, io_uring, or posix".into()),
        }
    }

    /// What `parse` reads.
    pub fn key(self) -> &'static str {
        match self {
            Side::Kernel => KERNEL,
            Side::Ours(engine) => engine,
            Side::IoUring => "io_uring",
            Side::Posix => "posix",
        }
    }

    /// For people.
    pub fn label(self) -> String {
        match self {
            Side::Kernel => "kernel AIO".into(),
            Side::Ours(engine) => format!("uaio {engine}"),
            Side::IoUring => "io_uring".into(),
            Side::Posix => "POSIX AIO".into(),
        }
    }

    /// Whose six calls it makes, if any.
    pub fn calls(self) -> Option<Calls> {
        match self {
            Side::Kernel => Some(Calls::Kernel),
            Side::Ours(_) => Some(Calls::Ours),
            _ => None,
        }
    }

    /// Whether it is uaio: the goals are for uaio.
    pub fn is_ours(self) -> bool {
        matches!(self, Side::Ours(_))
    }
}

/// The value of UAIO_ENGINE, if it is one that `uaio run` takes too.
fn engine(text: &str) -> Option<&'static str> {
    let names = ["auto"].into_iter().chain(ENGINE_NAMES);
    names.into_iter().find(|name| *name == text && Engine::from_str(text, false).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_back() {
        for text in DEFAULT.split(',').chain([KERNEL, "inline"]) {
            assert_eq!(Side::parse(text).map(Side::key), Ok(text));
        }
        assert!(Side::parse("off").is_err() && Side::parse("").is_err());
    }
}
