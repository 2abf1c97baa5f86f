//! The preload library and libaio.so.1, as C programs meet them.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{file, not_applicable, output, stderr, uaio};
use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, Sym};

fn beside_uaio(name: &str) -> PathBuf {
    uaio().with_file_name(name)
}

/// The C program, built once.
fn program() -> &'static Path {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let build = || {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("front_ends");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/front_ends.c");
        let status = Command::new("cc")
            .args(["-O1", "-Wall", "-o"])
            .arg(&out)
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .status();
        assert!(status.unwrap().success());
        (dir, out)
    };
    &BUILT.get_or_init(build).1
}

const ENGINES: [&str; 5] = ["auto", "inline", "uring", "threads", "kernel"];

/// A copy of the library under another name: a program's own.
const OTHER: &str = "libaio.so.1t64";

fn over_preload(check: &str, engine: &str) -> Command {
    let mut command = Command::new(program());
    command.arg(check).env("LD_PRELOAD", beside_uaio("libuaio_preload.so")).env("UAIO_ENGINE", engine);
    command.env("UAIO_MAX_NR", "4321").env("OTHER_LIBAIO", beside_uaio(OTHER));
    command
}

/// Without the preload library.
fn over_libaio(check: &str, engine: &str) -> Command {
    let mut command = Command::new(program());
    command.arg(check).env("OTHER_LIBAIO", beside_uaio("libaio.so.1")).env("UAIO_ENGINE", engine);
    command.env("UAIO_MAX_NR", "4321");
    command
}

fn assert_holds(command: &mut Command) {
    let out = output(command);
    assert!(out.status.success(), "{command:?}: {}: {}", out.status, stderr(&out));
}

fn holds(check: &str) {
    assert_holds(&mut over_preload(check, "auto"));
}

/// Whether the system call is there, told by what it says to null pointers.
fn has(number: libc::c_long) -> bool {
    // SAFETY: neither io_setup nor io_uring_setup makes anything without a place for it.
    unsafe { libc::syscall(number, 1, 0) };
    std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// Those that can be had here.
fn engines() -> impl Iterator<Item = &'static str> {
    let here = |engine: &&str| {
        let there = match *engine {
            "uring" => has(libc::SYS_io_uring_setup),
            "kernel" => has(libc::SYS_io_setup),
            _ => true,
        };
        if !there {
            not_applicable(engine);
        }
        there
    };
    ENGINES.into_iter().filter(here)
}

#[test]
fn other_system_calls_pass_through() {
    holds("others_pass_through");
}

#[test]
fn the_two_files_in_proc_are_answered() {
    holds("the_two_files");
}

#[test]
fn contexts_cross_between_libaio_and_syscall() {
    holds("contexts_cross");
}

#[test]
fn ways_out_keep_their_arguments_and_the_preload() {
    holds("ways_out");
}

#[test]
fn a_cancelled_thread_leaves_a_context_that_works() {
    // With `off` everything is the kernel's.
    for engine in engines().chain(has(libc::SYS_io_setup).then_some("off")) {
        assert_holds(&mut over_preload("cancelled_threads", engine));
    }
}

#[test]
fn an_unloaded_library_goes_on() {
    for engine in engines() {
        assert_holds(&mut over_preload("unloaded", engine));
        assert_holds(&mut over_libaio("unloaded", engine));
    }
}

#[test]
fn requests_go_on_beside_a_spawned_child() {
    let dir = tempfile::tempdir_in(std::env::var_os("TMPDIR").unwrap_or_else(|| "/var/tmp".into())).unwrap();
    let data = file(dir.path(), "data", [b'o'; 4096], 0o600);
    for engine in engines() {
        assert_holds(over_preload("spawned", engine).env("DATA", &data));
        assert_holds(over_libaio("spawned", engine).env("DATA", &data));
    }
}

/// `name@version` or `name@@version` of every symbol that a library defines with a version.
fn versions(path: &Path) -> BTreeSet<String> {
    let data = std::fs::read(path).unwrap();
    let elf = FileHeader64::<LittleEndian>::parse(&*data).unwrap();
    let endian = LittleEndian;
    let sections = elf.sections(endian, &*data).unwrap();
    let symbols = sections.symbols(endian, &*data, object::elf::SHT_DYNSYM).unwrap();
    let table = sections.versions(endian, &*data).unwrap().unwrap();
    let mut all = BTreeSet::new();
    for (index, symbol) in symbols.enumerate() {
        let number = table.version_index(endian, index);
        if symbol.is_undefined(endian) || symbol.st_name(endian) == 0 {
            continue;
        }
        if let Ok(Some(version)) = table.version(number.into()) {
            let hidden = number.is_hidden();
            let name = String::from_utf8_lossy(symbols.symbol_name(endian, symbol).unwrap()).into_owned();
            let version = String::from_utf8_lossy(version.name());
            all.insert(format!("{name}{}{version}", if hidden { "@" } else { "@@" }));
        }
    }
    all
}

/// As libaio 0.3.113 has them.
const RECORDED: [&str; 13] = [
    "io_cancel@@LIBAIO_0.4",
    "io_cancel@LIBAIO_0.1",
    "io_destroy@@LIBAIO_0.4",
    "io_getevents@@LIBAIO_0.4",
    "io_getevents@LIBAIO_0.1",
    "io_pgetevents@@LIBAIO_0.5",
    "io_queue_init@@LIBAIO_0.1",
    "io_queue_release@@LIBAIO_0.1",
    "io_queue_run@@LIBAIO_0.1",
    "io_queue_wait@@LIBAIO_0.4",
    "io_queue_wait@LIBAIO_0.1",
    "io_setup@@LIBAIO_0.4",
    "io_submit@@LIBAIO_0.1",
];

#[test]
fn symbols_and_versions_are_libaios() {
    let calls = |path: &Path| -> BTreeSet<String> {
        versions(path).into_iter().filter(|name| name.starts_with("io_")).collect()
    };
    let recorded: BTreeSet<String> = RECORDED.iter().map(ToString::to_string).collect();
    for ours in ["libaio.so.1", "libaio.so.1t64", "libuaio_preload.so"] {
        assert_eq!(calls(&beside_uaio(ours)), recorded, "{ours}");
    }
    for theirs in ["/usr/lib/x86_64-linux-gnu/libaio.so.1", "/usr/lib/x86_64-linux-gnu/libaio.so.1t64"] {
        if Path::new(theirs).exists() {
            assert_eq!(calls(Path::new(theirs)), recorded, "{theirs}");
        }
    }
}
