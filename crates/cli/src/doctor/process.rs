//! A running process: whether it runs over uaio, with which settings, and what it did.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::finding::{Cause, Finding, over_uaio};
use super::program::{Part, calls, part, refused};
use super::{holders, object_file};
use crate::failure::Failure;
use crate::memory::{self, Mapping};
use crate::program::{Refusal, obstacle};
use crate::stat::{Counters, explain};
use crate::summary;
use crate::units::count;

const AT_SECURE: u64 = 23;

pub fn find(pid: i32) -> Result<Vec<Finding>, Failure> {
    let mappings = memory::mappings(pid).map_err(|e| explain(pid, &e))?;
    let files = files(&mappings);
    let environment = words(&format!("/proc/{pid}/environ"));
    let preload = files.iter().find(|file| file.to_string_lossy().contains("libuaio_preload.so"));
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let mut all = vec![Finding::ok("process", format!("{pid}: {}", exe.display()))];
    let library = preload.or_else(|| files.iter().find(|file| is_our_libaio(pid, file)));
    let over = library.is_some();
    all.push(match library {
        Some(file) => Finding::ok("preload", format!("{} is mapped", file.display())),
        None => not_over_uaio(pid, &exe),
    });
    all.push(settings(&environment));
    all.push(kernel_contexts(pid, over, &environment));
    all.extend(counters(pid));
    let parts: Vec<Part> = files.iter().filter_map(|file| part(file.clone(), &inside(pid, file))).collect();
    all.push(calls(&parts));
    Ok(all)
}

/// The files that are mapped, each once.
fn files(mappings: &[Mapping]) -> BTreeSet<PathBuf> {
    let names = mappings.iter().map(|mapping| mapping.name.as_str());
    let names =
        names.filter(|name| name.starts_with('/') && !name.starts_with("/[") && !name.starts_with("/dev/"));
    names.filter(|name| !name.ends_with(" (deleted)")).map(PathBuf::from).collect()
}

/// A path of the process's, as we reach it: it may have another root.
fn inside(pid: i32, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap_or(path))
}

fn is_our_libaio(pid: i32, path: &Path) -> bool {
    let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libaio.so"));
    named && object_file::read(&inside(pid, path)).is_some_and(|object| object.is_ours)
}

/// The words of a file whose entries end with NUL; empty where it cannot be read.
fn words(file: &str) -> Vec<OsString> {
    let bytes = fs::read(file).unwrap_or_default();
    let entries = bytes.split(|byte| *byte == 0).map(|entry| OsString::from_vec(entry.to_vec()));
    let mut all: Vec<OsString> = entries.collect();
    all.pop_if(|last| last.is_empty());
    all
}

fn not_over_uaio(pid: i32, exe: &Path) -> Finding {
    let file = PathBuf::from(format!("/proc/{pid}/exe"));
    if let Some(obstacle) = obstacle(&file) {
        let object = object_file::read(&file).unwrap_or_default();
        let finding = refused(&Refusal { file: exe.into(), obstacle }, &object);
        return Finding { topic: "preload".into(), ..finding };
    }
    const SAYS: &str = "libuaio_preload.so is not mapped";
    if is_secure(pid) {
        let text = "it gained privileges when it was executed (AT_SECURE), so the loader ignored LD_PRELOAD";
        return Finding::unreachable("preload", SAYS, Cause::new("at-secure", text));
    }
    let cause = Cause::new("not-started-over-uaio", "it was started without uaio");
    Finding::trouble("preload", SAYS, cause).fix(over_uaio(&words(&format!("/proc/{pid}/cmdline"))))
}

fn is_secure(pid: i32) -> bool {
    let bytes = fs::read(format!("/proc/{pid}/auxv")).unwrap_or_default();
    let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    words.as_chunks::<2>().0.iter().any(|[kind, value]| *kind == AT_SECURE && *value != 0)
}

/// As it was started with.
fn settings(environment: &[OsString]) -> Finding {
    let ours = environment.iter().map(|entry| entry.to_string_lossy()).filter(|entry| entry.starts_with("UAIO_"));
    let ours: Vec<_> = ours.collect();
    let says = match (environment.is_empty(), ours.is_empty()) {
        (true, _) => "its environment cannot be read".into(),
        (_, true) => "no UAIO_ variable".into(),
        _ => ours.join(" "),
    };
    Finding::ok("settings", says).details(json!(ours))
}

/// Over uaio there should be none.
fn kernel_contexts(pid: i32, over_uaio: bool, environment: &[OsString]) -> Finding {
    const TOPIC: &str = "contexts";
    let rings = holders::rings(pid).unwrap_or_default().len();
    let says = format!("{} of the kernel's", count(rings as u64));
    let off = environment.iter().any(|entry| entry == "UAIO_ENGINE=off");
    if rings > 0 && over_uaio && !off {
        let text = "it makes calls by instructions of its own, or made them before uaio was there";
        return Finding::trouble(TOPIC, says, Cause::new("past-uaio", text)).details(json!({"contexts": rings}));
    }
    Finding::ok(TOPIC, says).details(json!({"contexts": rings}))
}

fn counters(pid: i32) -> Option<Finding> {
    let stats = Counters::find(pid).ok()?.read().ok()?;
    let process = summary::Process::from(&*stats);
    let by_engine: Vec<_> =
        process.requests.by_engine.iter().map(|(engine, number)| format!("{} {engine}", count(*number))).collect();
    let by_engine = if by_engine.is_empty() { "none".into() } else { by_engine.join(", ") };
    let says = format!("engine {}; contexts: {}; requests: {by_engine}", process.engine, process.contexts.created);
    let details = serde_json::to_value(&process).expect("only strings and numbers");
    Some(Finding::ok("counters", says).details(details).note(format!("uaio stat {pid} shows all of them")))
}
