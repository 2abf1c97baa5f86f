//! Programs that cannot load the preload library: one line that says why, exit status 125, and `--force`.

mod common;

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::{env, fs};

use nix::sys::prctl::get_no_new_privs;
use nix::unistd::geteuid;

use common::{assert_refused, command, compile, copy, file, not_applicable, output, run, stdout};

/// An ordinary user, where the tests run as root.
const NOBODY: u32 = 65534;

fn run_program(program: &Path, options: &[&str]) -> Output {
    let options = options.iter().map(OsStr::new);
    run([OsStr::new("run")].into_iter().chain(options).chain([program.as_os_str()]))
}

#[test]
fn static_programs() {
    let dir = tempfile::tempdir().unwrap();
    for options in [&["-static"][..], &["-static-pie"]] {
        let Some(program) = compile(dir.path(), "static", options) else {
            not_applicable("no compiler for static programs");
            continue;
        };
        let refused = run_program(&program, &[]);
        assert_refused(&refused, 125, "is statically linked");
        assert!(run_program(&program, &["--force"]).status.success());
        assert!(run_program(&program, &["--force", "--summary=/dev/null"]).status.success());
    }
}

#[test]
fn another_c_library() {
    let dir = tempfile::tempdir().unwrap();
    let loader = "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1";
    let Some(program) = compile(dir.path(), "musl", &[loader]) else {
        return not_applicable("no compiler");
    };
    assert_refused(&run_program(&program, &[]), 125, "started by /lib/ld-musl-x86_64.so.1");
}

#[test]
fn another_machine() {
    let dir = tempfile::tempdir().unwrap();
    let mut header = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0\x01\0\0\0".to_vec();
    header.resize(64, 0);
    let program = file(dir.path(), "old", header, 0o755);
    assert_refused(&run_program(&program, &[]), 125, "is a 32-bit x86 program");
}

#[test]
fn scripts_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(program) = compile(dir.path(), "static", &["-static"]) else {
        return not_applicable("no compiler for static programs");
    };
    let direct = file(dir.path(), "direct", format!("#! {} -x\n", program.display()), 0o755);
    assert_refused(&run_program(&direct, &[]), 125, "static is statically linked");
    let script = file(dir.path(), "by_env", "#!/usr/bin/env -S A=1 static -x\n", 0o755);
    let path = format!("{}:{}", dir.path().display(), env::var("PATH").unwrap());
    let result = output(command(["run".as_ref(), script.as_os_str()]).env("PATH", path));
    assert_refused(&result, 125, "static is statically linked");
    let fine = file(dir.path(), "fine", "#!/usr/bin/env sh\necho $0\n", 0o755);
    assert_eq!(stdout(&run_program(&fine, &[])), format!("{}\n", fine.display()));
    let circle = dir.path().join("circle");
    file(dir.path(), "circle", format!("#!{}\n", circle.display()), 0o755);
    assert_eq!(run_program(&circle, &[]).status.code(), Some(126));
}

/// A program of somebody else's with this mode, where we are root.
fn foreign_program(dir: &Path, mode: u32) -> Option<PathBuf> {
    // A filter that was set without privileges takes set-user-ID away for good.
    if !geteuid().is_root() || get_no_new_privs().unwrap() {
        return None;
    }
    let program = dir.join("program");
    copy(Path::new("/bin/true"), &program);
    chown(&program, Some(NOBODY), Some(NOBODY)).ok()?;
    fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
    Some(program)
}

#[test]
fn programs_that_change_ids() {
    let dir = tempfile::tempdir().unwrap();
    for (mode, words) in [(0o4755, "set-user-ID and would run as user 65534"), (0o2755, "set-group-ID")] {
        let Some(program) = foreign_program(dir.path(), mode) else {
            return not_applicable("needs root and its privileges");
        };
        assert_refused(&run_program(&program, &[]), 125, words);
        assert!(run_program(&program, &["--force"]).status.success());
    }
    let harmless = foreign_program(dir.path(), 0o2745).unwrap();
    assert!(run_program(&harmless, &[]).status.success(), "set-group-ID without the execute bit is no privilege");
    chown(&harmless, Some(0), Some(0)).unwrap();
    fs::set_permissions(&harmless, fs::Permissions::from_mode(0o6755)).unwrap();
    assert!(run_program(&harmless, &[]).status.success(), "our own ids change nothing");
}

#[test]
fn file_capabilities() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    // Revision 2, effective; permitted: CAP_NET_BIND_SERVICE.
    let capability = [0x0200_0001u32, 1 << 10, 0, 0, 0].map(u32::to_le_bytes).concat();
    let Some(program) = foreign_program(dir.path(), 0o755) else {
        return not_applicable("needs root and its privileges");
    };
    if fs::metadata(&program).unwrap().uid() != NOBODY
        || xattr::set(&program, "security.capability", &capability).is_err()
    {
        return not_applicable("no file capabilities here");
    }
    assert!(run_program(&program, &[]).status.success(), "root gains nothing");
    if command(["version"]).uid(NOBODY).output().is_err() {
        return not_applicable("another user cannot reach the build directory");
    }
    let result = output(command(["run".as_ref(), program.as_os_str()]).uid(NOBODY).gid(NOBODY));
    assert_refused(&result, 125, "has file capabilities");
}

#[test]
fn fault_scripts_that_cannot_be_read() {
    for (script, words) in [
        ("read:EFOO", "'EFOO' is no effect"),
        ("fsync:short", "only reads, writes and io_submit can be short"),
        ("@/nowhere/script", "/nowhere/script: No such file"),
    ] {
        assert_refused(&run(["run", "--fault", script, "--", "true"]), 125, words);
    }
    assert_refused(
        &run(["run", "--fault", "read:EIO", "--engine", "uring", "--", "true"]),
        125,
        "leave --engine out",
    );
    assert!(run(["run", "--fault", "read:EIO", "--", "true"]).status.success());
}
