//! The environment that makes a program use uaio.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::ValueEnum;

/// The quota of requests that `uaio run` gives unless told otherwise: what one sets fs.aio-max-nr to.
pub const DEFAULT_MAX_NR: u64 = 1 << 20;

/// Values of `UAIO_ENGINE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// What the place does best: kernel contexts for O_DIRECT and POLL, io_uring, threads; what would not wait at once
    Auto,
    /// Everything on the caller's thread
    Inline,
    /// io_uring
    Uring,
    /// A pool of worker threads
    Threads,
    /// Real kernel contexts: every request is the kernel's, io_destroy is ours
    Kernel,
    /// Worker threads that follow the script of --fault
    Scripted,
    /// The kernel's AIO: nothing is ours
    Off,
}

/// How `--print-env` writes the variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a shell: eval "$(uaio run --print-env)"
    Shell,
    /// ENV lines of a Dockerfile
    Docker,
    /// Environment= lines of a systemd unit
    Systemd,
}

/// What is to be set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub library: PathBuf,
    pub engine: Option<Engine>,
    pub max_nr: Option<u64>,
    pub stats: Option<PathBuf>,
    /// The script of the engine `scripted`, and where its decisions are noted.
    pub fault: Option<String>,
    pub fault_log: Option<PathBuf>,
}

type Variable = (&'static str, OsString);

impl Settings {
    /// The variables to set where `current` gives the present ones.
    pub fn variables(&self, current: impl Fn(&str) -> Option<OsString>) -> Vec<Variable> {
        let mut all = vec![("LD_PRELOAD", self.preload(current("LD_PRELOAD")))];
        if let Some(engine) = self.engine {
            let value = engine.to_possible_value().expect("no engine is hidden");
            all.push(("UAIO_ENGINE", value.get_name().into()));
        }
        if self.max_nr.is_some() || current("UAIO_MAX_NR").is_none() {
            all.push(("UAIO_MAX_NR", self.max_nr.unwrap_or(DEFAULT_MAX_NR).to_string().into()));
        }
        if let Some(stats) = &self.stats {
            all.push(("UAIO_STATS", stats.into()));
        }
        all.extend(self.fault.as_ref().map(|script| ("UAIO_FAULT", script.into())));
        all.extend(self.fault_log.as_ref().map(|log| ("UAIO_FAULT_LOG", log.into())));
        all
    }

    /// Our library goes first, and only once.
    fn preload(&self, others: Option<OsString>) -> OsString {
        let ours = self.library.as_os_str();
        let others = others.unwrap_or_default();
        let first = others.as_encoded_bytes().split(|b| b": ".contains(b)).next();
        if others.is_empty() || first == Some(ours.as_encoded_bytes()) {
            return if others.is_empty() { ours.into() } else { others };
        }
        let mut all = ours.to_owned();
        all.push(":");
        all.push(others);
        all
    }

    /// The lines for `format`, for a place whose environment is not known.
    pub fn lines(&self, format: Format) -> String {
        let line = |(name, value): &Variable| format.line(name, value);
        self.variables(|_| None).iter().map(line).collect()
    }
}

impl Format {
    fn line(self, name: &str, value: &OsStr) -> String {
        let value = value.to_string_lossy();
        match self {
            Format::Shell => {
                let rest = if name == "LD_PRELOAD" { "${LD_PRELOAD:+:$LD_PRELOAD}" } else { "" };
                format!("export {name}='{}'{rest}\n", value.replace('\'', r"'\''"))
            }
            Format::Docker => format!("ENV {name}=\"{}\"\n", escape(&value)),
            Format::Systemd => format!("Environment=\"{name}={}\"\n", escape(&value).replace('%', "%%")),
        }
    }
}

/// For double quotes.
fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { library: "/p/u.so".into(), ..Settings::default() }
    }

    fn value(settings: &Settings, name: &str, current: &[(&str, &str)]) -> Option<OsString> {
        let current = |wanted: &str| current.iter().find(|(name, _)| *name == wanted).map(|(_, v)| v.into());
        settings.variables(current).into_iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    #[test]
    fn the_library_comes_first_and_once() {
        for (before, after) in [("", "/p/u.so"), ("/a.so", "/p/u.so:/a.so"), ("/p/u.so:/a.so", "/p/u.so:/a.so")] {
            assert_eq!(value(&settings(), "LD_PRELOAD", &[("LD_PRELOAD", before)]).unwrap(), after);
        }
    }

    #[test]
    fn the_quota_is_the_users_if_there_is_one() {
        assert_eq!(value(&settings(), "UAIO_MAX_NR", &[]).unwrap(), "1048576");
        assert_eq!(value(&settings(), "UAIO_MAX_NR", &[("UAIO_MAX_NR", "7")]), None);
        let asked = Settings { max_nr: Some(9), ..settings() };
        assert_eq!(value(&asked, "UAIO_MAX_NR", &[("UAIO_MAX_NR", "7")]).unwrap(), "9");
    }

    #[test]
    fn the_engine_only_if_asked() {
        assert_eq!(value(&settings(), "UAIO_ENGINE", &[]), None);
        let asked = Settings { engine: Some(Engine::Threads), ..settings() };
        assert_eq!(value(&asked, "UAIO_ENGINE", &[]).unwrap(), "threads");
    }

    #[test]
    fn lines_of_each_format() {
        let shell = "export LD_PRELOAD='/p/u.so'${LD_PRELOAD:+:$LD_PRELOAD}\nexport UAIO_MAX_NR='1048576'\n";
        assert_eq!(settings().lines(Format::Shell), shell);
        assert_eq!(settings().lines(Format::Docker), "ENV LD_PRELOAD=\"/p/u.so\"\nENV UAIO_MAX_NR=\"1048576\"\n");
        let odd = Settings { library: "/100%/u.so".into(), ..settings() };
        assert!(odd.lines(Format::Systemd).starts_with("Environment=\"LD_PRELOAD=/100%%/u.so\"\n"));
    }
}
