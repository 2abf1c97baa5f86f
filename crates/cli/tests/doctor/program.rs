//! Programs: whether they can be reached, and how they make their calls.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::prctl::get_no_new_privs;
use nix::unistd::geteuid;

use crate::common::{compile, copy, file, not_applicable, output, stderr, stdout, uaio};
use crate::{Answer, about, ask, clean, shell, ways};

const NOBODY: u32 = 65534;
const SYSTEM_LIBAIO: &str = "libaio.so.1";

/// Where the build has put the libraries.
fn libraries() -> PathBuf {
    uaio().parent().unwrap().to_owned()
}

#[test]
fn programs_that_cannot_be_reached() {
    let dir = tempfile::tempdir().unwrap();
    let musl = "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1";
    for (options, cause) in [(&["-static"][..], "static"), (&["-static-pie"], "static"), (&[musl], "other-libc")] {
        let Some(program) = compile(dir.path(), "program", options) else {
            not_applicable("no compiler for static programs");
            continue;
        };
        let answer = about(&program);
        assert_eq!((answer.cause("program"), answer.status()), (cause, 2));
    }
    let mut header = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
    header.resize(64, 0);
    assert_eq!(about(&file(dir.path(), "old", header, 0o755)).cause("program"), "other-machine");
}

/// What the note says: with our archive a static program has uaio inside.
#[test]
fn static_with_our_archive() {
    let dir = tempfile::tempdir().unwrap();
    let archive = libraries().join("libaio.a");
    let Some(theirs) = ways(dir.path(), "theirs", &["-static", "-DSYSCALL"]) else {
        return not_applicable("no compiler for static programs");
    };
    let notes = about(&theirs).notes("program");
    assert!(notes.contains(archive.to_str().unwrap()), "{notes}");
    let ours = ways(dir.path(), "ours", &["-static", "-DLIBAIO", archive.to_str().unwrap()]).unwrap();
    let answer = about(&ours);
    assert_eq!(answer.cause("program"), "");
    assert!(answer.finding("program")["says"].as_str().unwrap().ends_with("with uaio inside"));
}

#[test]
fn privileged_programs_and_how_to_reach_them() {
    if !geteuid().is_root() || get_no_new_privs().unwrap() {
        return not_applicable("needs root and its privileges");
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("program");
    for (mode, cause) in [(0o4755, "set-user-id"), (0o2755, "set-group-id")] {
        copy(Path::new("/bin/true"), &program);
        chown(&program, Some(NOBODY), Some(NOBODY)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        let answer = about(&program);
        assert_eq!((answer.cause("program"), answer.status()), (cause, 2));
        assert!(output(&mut shell(answer.fix("program"))).status.success());
        assert_eq!(about(&program).cause("program"), "");
    }
}

#[test]
fn file_capabilities_and_how_to_drop_them() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let [program, own] = ["program", "uaio"].map(|name| dir.path().join(name));
    copy(Path::new("/bin/true"), &program);
    copy(&uaio(), &own);
    copy(&libraries().join("libuaio_preload.so"), &dir.path().join("libuaio_preload.so"));
    let capability = "cap_net_bind_service=ep";
    let set = Command::new("setcap").arg(capability).arg(&program).output();
    if !geteuid().is_root() || !set.is_ok_and(|set| set.status.success()) {
        return not_applicable("needs root and setcap");
    }
    let as_user =
        || Answer::of(clean(own.as_ref()).args(["doctor", "--json", "--"]).arg(&program).uid(NOBODY).gid(NOBODY));
    let answer = as_user();
    assert_eq!((answer.cause("program"), answer.status()), ("capabilities", 2));
    let fixed = output(&mut shell(answer.fix("program")));
    assert!(fixed.status.success(), "{}", stderr(&fixed));
    assert_eq!(as_user().cause("program"), "");
}

/// As in a program that was set-user-ID and starts uaio: a real user, and another effective one.
#[test]
fn privileges_of_our_own() {
    if !geteuid().is_root() {
        return not_applicable("needs root");
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let own = dir.path().join("uaio");
    copy(&uaio(), &own);
    copy(&libraries().join("libuaio_preload.so"), &dir.path().join("libuaio_preload.so"));
    let real = ["--ruid=54323", "--rgid=54323", "--clear-groups"];
    let with = |words: &[&str]| {
        let mut command = clean("setpriv".as_ref());
        command.args(real).args(words).arg(&own).args(["doctor", "--json", "--", "/bin/true"]);
        Answer::of(&mut command)
    };
    let answer = with(&[]);
    assert_eq!((answer.cause("program"), answer.status()), ("privileged", 2), "{:#}", answer.0);
    let fix = answer.fix("program").strip_suffix(" uaio run -- /bin/true").unwrap();
    let words: Vec<&str> = fix.split(' ').collect();
    assert_eq!(with(&words).cause("program"), "");
}

/// The address of the instruction that `ways.c` marks.
fn marked(program: &Path) -> u64 {
    let names = output(Command::new("nm").arg(program));
    let line = stdout(&names).lines().find(|line| line.ends_with(" the_instruction")).unwrap().to_string();
    u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
}

#[test]
fn instructions_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    for options in [&["-O0"][..], &["-O2"], &["-O2", "-no-pie"]] {
        let Some(program) = ways(dir.path(), "inline", &[&["-DINLINE"], options].concat()) else {
            return not_applicable("no compiler");
        };
        let answer = about(&program);
        assert_eq!((answer.cause("AIO calls"), answer.status()), ("instructions", 2));
        let found = &answer.finding("AIO calls")["details"]["instructions"];
        assert_eq!(*found, serde_json::json!([{"call": "io_setup", "address": marked(&program)}]));
    }
    let both = ways(dir.path(), "both", &["-O2", "-DINLINE", "-DSYSCALL"]).unwrap();
    let answer = about(&both);
    assert_eq!(answer.finding("AIO calls")["state"], "trouble", "{:#}", answer.0);
}

#[test]
fn the_summary_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let Some(program) = ways(dir.path(), "inline", &["-DINLINE"]) else { return not_applicable("no compiler") };
    let result = crate::common::run(["run".as_ref(), "--summary".as_ref(), "--".as_ref(), program.as_os_str()]);
    let line = format!("  inline: io_setup by an instruction at {:#x}\n", marked(&program));
    let expected =
        format!("uaio: no AIO call was seen\nuaio: the program makes AIO calls that go past uaio:\n{line}");
    assert_eq!(stderr(&result), expected);
    let json = dir.path().join("summary.json");
    let option = format!("--summary={}", json.display());
    crate::common::run(["run".as_ref(), OsStr::new(&option), "--".as_ref(), program.as_os_str()]);
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(json["past_uaio"].as_array().unwrap().len(), 1);
    let seen = ways(dir.path(), "seen", &["-DSYSCALL"]).unwrap();
    let result = crate::common::run(["run".as_ref(), "--summary".as_ref(), "--".as_ref(), seen.as_os_str()]);
    assert!(!stderr(&result).contains("past uaio"), "{}", stderr(&result));
}

/// However the compiler reaches libc's `syscall`.
#[test]
fn calls_by_syscall() {
    let dir = tempfile::tempdir().unwrap();
    for options in [&["-O0"][..], &["-O2"], &["-O2", "-no-pie"], &["-O2", "-fno-plt"], &["-O2", "-Wl,-z,now"]] {
        let Some(program) = ways(dir.path(), "syscall", &[&["-DSYSCALL"], options].concat()) else {
            return not_applicable("no compiler");
        };
        let answer = about(&program);
        assert_eq!(answer.cause("AIO calls"), "", "{:#}", answer.0);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(answer.finding("AIO calls")["says"], "syscall: syscall(io_setup)", "{options:?}");
        }
    }
    let none = ways(dir.path(), "none", &[]).unwrap();
    assert!(about(&none).finding("AIO calls")["says"].as_str().unwrap().starts_with("none found"));
}

/// A program that needs a libaio by this name.
fn linked(dir: &Path, library: &str) -> Option<PathBuf> {
    ways(dir, "linked", &["-DLIBAIO", libraries().join(library).to_str().unwrap()])
}

#[test]
fn which_libaio() {
    let dir = tempfile::tempdir().unwrap();
    let Some(program) = linked(dir.path(), SYSTEM_LIBAIO) else { return not_applicable("no compiler") };
    let with = |path: &Path| {
        let answer =
            ask(&[], &["--".as_ref(), program.as_os_str()], &[("LD_LIBRARY_PATH", path.to_str().unwrap())]);
        let imports = &answer.finding("AIO calls")["details"]["imports"];
        assert_eq!(*imports, serde_json::json!(["io_setup@LIBAIO_0.4"]));
        answer.finding("libaio")["details"]["kind"].as_str().map(String::from)
    };
    assert_eq!(with(&libraries()).as_deref(), Some("uaio"));
    let Some(system) = with(Path::new("/nowhere")) else { return not_applicable("no libaio.so.1 in the system") };
    assert_eq!(system, "system");
    let answer = about(&program);
    let theirs = answer.finding("libaio")["details"]["path"].as_str().unwrap();
    copy(Path::new(theirs), &dir.path().join(SYSTEM_LIBAIO));
    assert_eq!(with(dir.path()).as_deref(), Some("bundled"));
}

/// As on a distribution that has renamed it.
#[test]
fn no_libaio_and_where_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let Some((program, answer)) = ["libaio.so.1t64", SYSTEM_LIBAIO].into_iter().find_map(|name| {
        let program = linked(dir.path(), name)?;
        let answer = about(&program);
        (answer.cause("libaio") == "no-libaio").then_some((program, answer))
    }) else {
        return not_applicable("the system has both names of libaio, or there is no compiler");
    };
    assert_eq!(answer.status().min(1), 1);
    assert!(!output(&mut clean(program.as_ref())).status.success());
    let fixed = output(&mut shell(answer.fix("libaio")));
    assert_eq!((stdout(&fixed), fixed.status.code()), ("0\n", Some(0)), "{}", stderr(&fixed));
}

#[test]
fn other_libraries_that_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("libelsewhere.so");
    let path = library.to_str().unwrap();
    let name = "-Wl,-soname,libelsewhere.so";
    if ways(dir.path(), "libelsewhere.so", &["-shared", "-fPIC", name]).is_none() {
        return not_applicable("no compiler");
    }
    let program = ways(dir.path(), "needy", &["-Wl,--no-as-needed", path]).unwrap();
    let answer = about(&program);
    assert_eq!(answer.cause("libraries"), "no-library");
    assert!(!output(&mut clean(program.as_ref())).status.success());
    let mended = |fix: &str| {
        let result = output(&mut shell(fix));
        assert_eq!((stdout(&result), result.status.code()), ("0\n", Some(0)), "{fix}: {}", stderr(&result));
    };
    mended(answer.fix("libraries"));
    let environment = [("LD_LIBRARY_PATH", dir.path().to_str().unwrap())];
    let found = ask(&[], &["--".as_ref(), program.as_os_str()], &environment);
    assert!(!found.0["findings"].to_string().contains("no-library"));
    // Where nobody finds it, the user has to say.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(&library, elsewhere.path().join("libelsewhere.so")).unwrap();
    let answer = about(&program);
    assert_eq!(answer.finding("libraries")["fixes"][0]["note"], "DIR is where they are");
    mended(&answer.fix("libraries").replace("DIR", elsewhere.path().to_str().unwrap()));
}

/// As of a program that was built for another place.
#[test]
fn a_loader_that_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let loader = dir.path().join("other place/ld-linux-x86-64.so.2");
    let option = format!("-Wl,--dynamic-linker={}", loader.display());
    let Some(program) = ways(dir.path(), "moved", &[&option]).filter(|_| cfg!(target_arch = "x86_64")) else {
        return not_applicable("no compiler for x86-64");
    };
    let answer = about(&program);
    assert_eq!((answer.cause("libraries"), answer.status()), ("loader", 1), "{:#}", answer.0);
    assert!(output(&mut shell(answer.fix("libraries"))).status.success());
    let fixed = about(&program);
    assert!(!fixed.0["findings"].to_string().contains("\"libraries\""), "{:#}", fixed.0);
    assert_eq!(fixed.cause("preload"), "");
    assert_eq!(stdout(&output(&mut clean(program.as_ref()))), "0\n");
}

/// It would be run, so its owner is asked to.
#[test]
fn a_loader_of_another_user() {
    if !geteuid().is_root() {
        return not_applicable("needs root");
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let [loader, own] = ["ld-linux-own.so", "uaio"].map(|name| dir.path().join(name));
    let option = format!("-Wl,--dynamic-linker={}", loader.display());
    let Some(program) = ways(dir.path(), "theirs", &[&option]) else { return not_applicable("no compiler") };
    let system =
        output(clean("sh".as_ref()).args(["-c", "ls /lib64/ld-linux-*.so.2 /lib/ld-linux-*.so.1 2>/dev/null"]));
    copy(Path::new(stdout(&system).lines().next().unwrap()), &loader);
    copy(&uaio(), &own);
    copy(&libraries().join("libuaio_preload.so"), &dir.path().join("libuaio_preload.so"));
    chown(&loader, Some(NOBODY), Some(NOBODY)).unwrap();
    let answer = about(&program);
    assert_eq!((answer.cause("libraries"), answer.status()), ("loader", 1), "{:#}", answer.0);
    let fix = answer.fix("libraries").replace("uaio doctor", &format!("{} doctor --json", own.display()));
    let fixed = Answer::of(&mut shell(&fix));
    assert!(!fixed.0["findings"].to_string().contains("\"libraries\""), "{:#}", fixed.0);
}

/// What the loader says about a broken library is handed on.
#[test]
fn a_preload_library_that_does_not_load() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("uaio");
    copy(&uaio(), &own);
    file(dir.path(), "libuaio_preload.so", "no library", 0o644);
    let mut command = clean(own.as_ref());
    command.args(["doctor", "--json", "--", "/bin/true"]);
    let answer = Answer::of(&mut command);
    assert_eq!((answer.cause("preload"), answer.status()), ("loader", 2));
    fs::remove_file(dir.path().join("libuaio_preload.so")).unwrap();
    copy(&libraries().join("libuaio_preload.so"), &dir.path().join("libuaio_preload.so"));
    assert_eq!(Answer::of(&mut command).cause("preload"), "");
}
