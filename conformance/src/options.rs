//! What can be asked for, on the command line of `uaio-conformance` and of `uaio conformance`.

use clap::ValueEnum;
use glob::Pattern;

use crate::aio::Target;
use crate::case::{Case, Level};
use crate::{cases, self_test};

/// Values of `UAIO_ENGINE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    Auto,
    Inline,
    Uring,
    Threads,
    Kernel,
    Scripted,
    Off,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: grouped, with a score for each level
    Table,
    /// Test Anything Protocol, version 14
    Tap,
    /// One object
    Json,
}

#[derive(clap::Args, Clone, Debug)]
#[group(id = "suite")]
pub struct Args {
    /// Whose AIO is tried, see below
    #[arg(long)]
    pub target: Option<String>,
    /// What executes the requests, where uaio is tried
    #[arg(long)]
    pub engine: Option<Engine>,
    /// Only cases whose name fits; without any of * ? [ it may be a part of the name. Can be given several times
    #[arg(long, value_name = "GLOB")]
    pub case: Vec<String>,
    /// Only cases of this level
    #[arg(long)]
    pub level: Option<Level>,
    #[arg(long, default_value = "table")]
    pub format: Format,
    /// Lists the cases with level, rows of docs/semantics.md and source, and runs none
    #[arg(long)]
    pub list: bool,
    /// Lists the rows of docs/semantics.md with their cases, and runs none
    #[arg(long, conflicts_with = "list")]
    pub rows: bool,
    /// How long one case may take
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub limit: u64,
    /// How many cases run at a time; they may get into each other's way where figures of the whole system count
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub jobs: u64,
    /// Runs all cases in one process, each on a thread, for systems that cannot fork
    #[arg(long, conflicts_with = "jobs")]
    pub no_fork: bool,
    /// The tool's own cases, one for each way to end
    #[arg(long, hide = true)]
    pub self_test: bool,
}

impl Args {
    /// The cases that are asked for, group by group; an error when there is none.
    pub fn cases(&self) -> Result<Vec<Case>, String> {
        let globs = self.case.iter().map(|text| glob(text)).collect::<Result<Vec<_>, _>>()?;
        let all = if self.self_test { self_test::cases() } else { cases::all() };
        let named = |case: &Case| globs.is_empty() || globs.iter().any(|glob| glob.matches(case.name));
        let wanted = |case: &Case| named(case) && self.level.is_none_or(|level| level == case.level);
        let mut groups: Vec<&str> = all.iter().map(Case::group).collect();
        groups.dedup();
        let mut chosen: Vec<Case> = all.into_iter().filter(wanted).collect();
        chosen.sort_by_key(|case| groups.iter().position(|group| *group == case.group()));
        if chosen.is_empty() { Err("no case fits; --list shows all".into()) } else { Ok(chosen) }
    }

    /// `target`, on the engine that is asked for.
    pub fn on_engine(&self, target: Target) -> Result<Target, String> {
        let Some(engine) = self.engine else { return Ok(target) };
        match target {
            Target::Kernel => Err("--engine says nothing about the kernel".into()),
            Target::Core(_) => Ok(Target::Core(engine.name())),
            other => Ok(other),
        }
    }
}

impl Engine {
    pub fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }
}

fn glob(text: &str) -> Result<Pattern, String> {
    let whole = text.contains(['*', '?', '[']);
    let pattern = if whole { text.to_owned() } else { format!("*{text}*") };
    Pattern::new(&pattern).map_err(|e| format!("--case {text}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(text: &str, name: &str) -> bool {
        glob(text).unwrap().matches(name)
    }

    #[test]
    fn globs_and_parts_of_names() {
        assert!(fits("cancel/*", "cancel/key") && !fits("cancel/*", "io/cancel/key"));
        assert!(fits("key", "cancel/key_is_einval") && fits("*einval", "cancel/key_is_einval"));
        assert!(!fits("cancel?", "cancel/key"));
        assert!(glob("[").is_err());
    }
}
