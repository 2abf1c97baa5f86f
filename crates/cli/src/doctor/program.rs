//! Whether a program can be reached, and how it makes its AIO calls.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use nix::unistd::{getgid, getuid};
use serde_json::json;

use super::finding::{Cause, Finding, over_uaio, quoted};
use super::libraries::{self, Libraries, Library};
use super::loader;
use super::object_file::{self, ObjectFile};
use crate::env::Settings;
use crate::failure::Failure;
use crate::program::{Obstacle, Refusal, check, executed};
use crate::{lookup, place};

/// Where a distribution has its libraries.
const SYSTEM: [&str; 4] = ["/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/"];
/// Libraries that make no AIO call by themselves, or are asked for theirs.
const PLAIN: [&str; 5] = ["libc.so", "ld-linux", "libpthread.so", "libm.so", "libuaio_preload.so"];
/// How many places in the code are named.
const NAMED_MAX: usize = 4;

/// A file of the program, and what it says about AIO.
#[derive(Debug)]
pub struct Part {
    pub path: PathBuf,
    pub object: ObjectFile,
}

pub fn find(command: &[OsString]) -> Result<Vec<Finding>, Failure> {
    let path = lookup::find(&command[0])?;
    let file = executed(&path)?;
    let object = object_file::read(&file).unwrap_or_default();
    if let Some(refusal) = check(&path)? {
        return Ok(vec![refused(&refusal, &object)]);
    }
    let preload = place::preload()?;
    let mut all = vec![reached(&path, &file)];
    let libraries = ask_loader(&file, &preload);
    let mut parts = vec![Part { path: file.clone(), object }];
    match libraries {
        Ok(libraries) => {
            all.push(preloaded(&libraries, &preload));
            all.extend(missing(&libraries, &file));
            all.extend(libraries.libaio().map(|libaio| which_libaio(libaio, &file)));
            parts.extend(parts_of(&libraries));
        }
        Err(error) => all.push(loader::not_asked(&file, error)),
    }
    all.push(calls(&parts));
    Ok(all)
}

fn reached(path: &Path, file: &Path) -> Finding {
    let loader = loader::of(file).map(|loader| format!("started by {}", loader.display())).unwrap_or_default();
    let through = if path == file { String::new() } else { format!(", executed by {}", file.display()) };
    Finding::ok("program", format!("{}{through}: dynamic, {loader}", path.display()))
}

fn ask_loader(file: &Path, preload: &Path) -> Result<Libraries, String> {
    let loader = loader::of(file).ok_or("the program names no loader")?;
    let settings = Settings { library: preload.into(), ..Settings::default() };
    let own =
        settings.variables(|name| std::env::var_os(name)).into_iter().find(|(name, _)| *name == "LD_PRELOAD");
    let value = own.map(|(_, value)| value).unwrap_or_default();
    libraries::list(&loader, file, &value).map_err(|e| format!("{}: {e}", loader.display()))
}

/// What keeps the library out, and what removes it.
pub fn refused(refusal: &Refusal, object: &ObjectFile) -> Finding {
    if refusal.obstacle == Obstacle::Static && object.is_ours {
        let says = format!("{} is statically linked, with uaio inside", refusal.file.display());
        return Finding::ok("program", says);
    }
    let file = quoted(refusal.file.as_os_str());
    let (id, fix) = match &refusal.obstacle {
        Obstacle::Static => ("static", None),
        Obstacle::Loader(_) => ("other-libc", None),
        Obstacle::Platform(_) => ("other-machine", None),
        Obstacle::SetUserId(_) => ("set-user-id", Some(format!("chmod u-s {file}"))),
        Obstacle::SetGroupId(_) => ("set-group-id", Some(format!("chmod g-s {file}"))),
        Obstacle::Capabilities => ("capabilities", Some(format!("setcap -r {file}"))),
        Obstacle::Privileged => {
            let own = format!("setpriv --euid={} --egid={} --keep-groups", getuid(), getgid());
            ("privileged", Some(format!("{own} uaio run -- {file}")))
        }
    };
    let mut finding = Finding::unreachable(
        "program",
        "the preload library cannot be loaded into it",
        Cause::new(id, refusal.reason()),
    );
    if refusal.obstacle == Obstacle::Static
        && let Ok(archive) = place::library("libaio.a")
    {
        finding = finding
            .note(format!("linked with {} in the place of its libaio it has uaio inside", archive.display()));
    }
    finding.notes.extend(code_lines(&refusal.file, object));
    match fix {
        Some(fix) => finding.fix(fix),
        None => finding,
    }
}

fn preloaded(libraries: &Libraries, preload: &Path) -> Finding {
    if libraries.has(preload) {
        return Finding::ok("preload", format!("the loader takes {}", preload.display()));
    }
    let why = libraries.complaints.join("; ");
    let why = if why.is_empty() { "the loader leaves it out and does not say why".into() } else { why };
    Finding::unreachable("preload", format!("{} is not loaded", preload.display()), Cause::new("loader", why))
}

/// Libraries without which the program does not start, with or without us.
fn missing(libraries: &Libraries, program: &Path) -> Option<Finding> {
    let names: Vec<&str> = libraries.missing().into_iter().filter(|name| !name.starts_with("libaio.so")).collect();
    let cause = || Cause::new("no-library", "the loader does not find them, so the program does not start");
    let finding = || Finding::trouble("libraries", format!("missing: {}", names.join(", ")), cause());
    (!names.is_empty()).then(|| with_path(finding(), &names, program))
}

/// Where they are beside the program, if there; else the user has to know.
fn with_path(finding: Finding, names: &[&str], program: &Path) -> Finding {
    let found: Option<Vec<PathBuf>> = names.iter().map(|name| libraries::beside(program, name)).collect();
    let note = if found.is_some() { "takes those beside the program" } else { "DIR is where they are" };
    let mut dirs = found.unwrap_or_else(|| vec!["DIR".into()]);
    dirs.dedup();
    dirs.extend(std::env::var_os("LD_LIBRARY_PATH").map(PathBuf::from));
    let dirs: Vec<_> = dirs.iter().map(|dir| quoted(dir.as_os_str())).collect();
    let run = over_uaio(&[program.as_os_str().to_owned()]);
    finding.fix_if(format!("LD_LIBRARY_PATH={} {run}", dirs.join(":")), note)
}

fn which_libaio(libaio: &Library, program: &Path) -> Finding {
    let Some(path) = &libaio.path else { return no_libaio(libaio, program) };
    let object = object_file::read(path).unwrap_or_default();
    let system = path.canonicalize().is_ok_and(|path| SYSTEM.iter().any(|dir| path.starts_with(dir)));
    let (kind, whose) = match (object.is_ours, system) {
        (true, _) => ("uaio", "uaio's own"),
        (_, true) => ("system", "the system's; over uaio the preload library answers its functions"),
        _ => ("bundled", "bundled with the program; over uaio the preload library answers its functions"),
    };
    let details = json!({"name": libaio.name, "path": path, "kind": kind});
    Finding::ok("libaio", format!("{} => {}, {whose}", libaio.name, path.display())).details(details)
}

fn no_libaio(libaio: &Library, program: &Path) -> Finding {
    let cause = Cause::new("no-libaio", format!("the program needs {}, and the loader finds none", libaio.name));
    let finding = Finding::trouble("libaio", format!("{} is missing", libaio.name), cause);
    match place::library(&libaio.name) {
        Ok(ours) => {
            let dir = quoted(ours.parent().unwrap_or(Path::new("/")).as_os_str());
            let program = quoted(program.as_os_str());
            finding.fix_if(format!("LD_LIBRARY_PATH={dir} uaio run -- {program}"), "takes uaio's")
        }
        Err(_) => finding,
    }
}

/// The libraries of which it can be told whether they make AIO calls.
fn parts_of(libraries: &Libraries) -> Vec<Part> {
    let paths = libraries.all.iter().filter_map(|library| library.path.clone());
    paths.filter_map(|path| part(path.clone(), &path)).collect()
}

/// The file at `path`, which is reached by `file`. None where its calls do not matter.
pub fn part(path: PathBuf, file: &Path) -> Option<Part> {
    let name = lookup::base_name(&path);
    let plain = PLAIN.iter().any(|start| name.as_encoded_bytes().starts_with(start.as_bytes()));
    let object = if plain { None } else { object_file::read(file) };
    // libaio's own instructions are behind functions that the preload library answers.
    object.filter(|object| !object.is_libaio).map(|object| Part { path, object })
}

/// How the calls are made, and whether they can be seen.
pub fn calls(parts: &[Part]) -> Finding {
    const TOPIC: &str = "AIO calls";
    let ways: Vec<String> = parts.iter().filter_map(seen_line).collect();
    let unseen: Vec<&Part> = parts.iter().filter(|part| part.object.is_unseen()).collect();
    let details = json!({
        "imports": parts.iter().flat_map(|part| &part.object.imports).collect::<Vec<_>>(),
        "syscall": parts.iter().any(|part| part.object.by_syscall()),
        "instructions": unseen.iter().flat_map(|part| &part.object.instructions).collect::<Vec<_>>(),
        "go": parts.iter().any(|part| part.object.is_go),
    });
    if unseen.is_empty() {
        return without_instructions(TOPIC, parts, ways).details(details);
    }
    let cause =
        Cause::new("instructions", "it makes them by instructions of its own: they go to the kernel, past uaio");
    let mut finding = match parts.iter().any(|part| part.object.is_seen()) {
        true => Finding::trouble(TOPIC, "some cannot be seen by uaio", cause),
        false => Finding::unreachable(TOPIC, "none can be seen by uaio", cause),
    };
    finding.notes = unseen.iter().flat_map(|part| code_lines(&part.path, &part.object)).chain(ways).collect();
    finding.details(details)
}

fn without_instructions(topic: &str, parts: &[Part], mut ways: Vec<String>) -> Finding {
    let maybe = parts.iter().any(|part| part.object.imports_syscall);
    if ways.is_empty() {
        let finding = Finding::ok(
            topic,
            "none found in the program and its libraries; what it loads later is not looked at",
        );
        return if maybe {
            finding.note("libc's syscall() is imported: calls made by it are seen")
        } else {
            finding
        };
    }
    let first = ways.remove(0);
    let mut finding = Finding::ok(topic, first);
    finding.notes = ways;
    finding
}

/// How one file makes calls that uaio sees.
fn seen_line(part: &Part) -> Option<String> {
    let mut ways: Vec<String> = part.object.imports.iter().cloned().collect();
    if part.object.by_syscall() {
        ways.extend(part.object.called.iter().map(|call| format!("syscall({call})")));
    }
    let name = lookup::base_name(&part.path);
    (!ways.is_empty()).then(|| format!("{}: {}", name.display(), ways.join(", ")))
}

/// How one file makes calls that uaio does not see.
fn code_lines(path: &Path, object: &ObjectFile) -> Vec<String> {
    let name = lookup::base_name(path);
    let line = |found: &super::code::Instruction| {
        format!("{}: {} by an instruction at {:#x}", name.display(), found.call, found.address)
    };
    let mut lines: Vec<String> = object.instructions.iter().take(NAMED_MAX).map(line).collect();
    if object.instructions.len() > NAMED_MAX {
        lines.push(format!("{}: and {} more", name.display(), object.instructions.len() - NAMED_MAX));
    }
    if object.is_go && !object.called.is_empty() {
        let calls: Vec<&str> = object.called.iter().copied().collect();
        lines.push(format!(
            "{}: a Go program, whose system calls are such instructions: {}",
            name.display(),
            calls.join(", ")
        ));
    }
    lines
}

/// What the program `path` does past uaio, one line each; for the summary of a run.
pub fn instructions(path: &Path) -> Vec<String> {
    let Ok(file) = executed(path) else { return Vec::new() };
    let libraries = ask_loader(&file, Path::new(OsStr::new(""))).unwrap_or_default();
    let own = object_file::read(&file).map(|object| Part { path: file.clone(), object });
    let parts = own.into_iter().chain(parts_of(&libraries));
    parts.filter(|part| part.object.is_unseen()).flat_map(|part| code_lines(&part.path, &part.object)).collect()
}
