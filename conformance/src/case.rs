//! What a case is, and the words that it is written in.

use clap::ValueEnum;
use serde::Serialize;

use crate::aio::{Calls, Target};
use crate::alone;
use crate::runner::Outcome;

/// How binding a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The manual says so.
    Contract,
    /// Linux 6.18 does so, and programs may depend on it.
    Linux,
    /// Linux 6.18 happens to do so.
    Quirk,
}

impl Level {
    pub fn name(self) -> &'static str {
        ["contract", "linux", "quirk"][self as usize]
    }
}

/// One statement.
pub struct Case {
    /// `group/what_it_states`.
    pub name: &'static str,
    pub level: Level,
    /// Where the statement stands: section of the semantics, and man page.
    pub source: &'static str,
    /// Makes the statement; a panic refutes it.
    pub body: fn(&Run),
}

impl Case {
    /// What stands before the `/`.
    pub fn group(&self) -> &'static str {
        self.name.split_once('/').map_or("", |(group, _)| group)
    }

    /// The rows that it states: what follows each `spec ` in its source.
    pub fn rows(&self) -> impl Iterator<Item = &'static str> {
        self.source.split(", ").filter_map(|part| part.strip_prefix("spec "))
    }
}

/// A running case: the calls of the target.
pub struct Run {
    pub calls: Calls,
    pub target: Target,
    ours: bool,
}

/// Exit status of a case that does not apply, after printing why.
pub const NOT_APPLICABLE: i32 = 77;

impl Run {
    /// Of `target`, whose calls are `calls`. Looks now whose it is: a case may be out of memory later.
    pub fn new(calls: Calls, target: &Target) -> Run {
        let ours = match target {
            Target::Kernel => false,
            Target::Core(engine) => engine != "off",
            Target::Syscall => std::env::var("LD_PRELOAD").is_ok_and(|all| all.contains("libuaio_preload")),
            Target::Libaio(path) => is_our_libaio(path),
        };
        Run { calls, target: target.clone(), ours }
    }

    /// Whether uaio is tried, in whatever way.
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// The engine, when uaio is tried.
    pub fn is_inline(&self) -> bool {
        self.is_ours() && std::env::var("UAIO_ENGINE").as_deref() == Ok("inline")
    }

    /// uaio over real kernel contexts: what it answers is the kernel's answer.
    pub fn is_kernels(&self) -> bool {
        self.is_ours() && std::env::var("UAIO_ENGINE").as_deref() == Ok("kernel")
    }

    /// Ends the case: it says nothing about this target here.
    pub fn not_applicable(&self, why: &str) -> ! {
        if alone::is_on() {
            alone::end(Outcome::NotApplicable(why.into()));
        }
        println!("{why}");
        std::process::exit(NOT_APPLICABLE)
    }

    /// Our answer where docs/decisions.md, entry `_decision`, says that it is another one than the kernel's.
    pub fn decided<T>(&self, _decision: &str, kernel: T, ours: T) -> T {
        if self.is_ours() && !self.is_kernels() { ours } else { kernel }
    }

    /// As [`Run::decided`], for POLLs: with `auto` they are the kernel's where it has AIO, which `got` shows.
    pub fn decided_for_poll<T: PartialEq>(&self, decision: &str, kernel: T, ours: T, got: &T) -> T {
        let auto = std::env::var("UAIO_ENGINE").is_ok_and(|engine| engine == "auto")
            || std::env::var_os("UAIO_ENGINE").is_none();
        if auto && *got == kernel { kernel } else { self.decided(decision, kernel, ours) }
    }

    /// The libaio functions answer some things without asking anybody.
    pub fn is_libaio(&self) -> bool {
        matches!(self.target, Target::Libaio(_))
    }
}

/// Ours refers to a symbol of the preload library, of which nobody else knows.
fn is_our_libaio(path: &str) -> bool {
    let mark = b"\0uaio_core\0";
    std::fs::read(path).is_ok_and(|file| file.windows(mark.len()).any(|bytes| bytes == mark))
}

/// Builds a [`Case`].
#[macro_export]
macro_rules! case {
    ($level:ident, $name:literal, $source:literal, $body:expr) => {
        $crate::case::Case { name: $name, level: $crate::case::Level::$level, source: $source, body: $body }
    };
}
