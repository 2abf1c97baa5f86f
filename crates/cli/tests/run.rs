//! `uaio run`: what the program sees, and what its caller sees.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{assert_refused, command, file, output, run, spawn, stderr, stdout, uaio};

#[test]
fn exit_status_and_output_are_the_programs() {
    for summary in [&[][..], &["--summary=/dev/null"]] {
        let args = [&["run"], summary, &["--", "sh", "-c", "echo out; echo err >&2; exit 7"]].concat();
        let result = run(args);
        assert_eq!(result.status.code(), Some(7));
        assert_eq!((stdout(&result), stderr(&result)), ("out\n", "err\n"));
    }
}

#[test]
fn the_program_takes_the_place_of_uaio() {
    let child = spawn(command(["run", "--", "sh", "-c", "echo $$"]).stdout(Stdio::piped()));
    let pid = child.id();
    assert_eq!(stdout(&child.wait_with_output().unwrap()), format!("{pid}\n"));
}

#[test]
fn the_environment() {
    let echo = "echo \"$LD_PRELOAD|$UAIO_ENGINE|$UAIO_MAX_NR\"";
    let plain = run(["run", "--", "sh", "-c", echo]);
    let (library, rest) = stdout(&plain).split_once('|').unwrap();
    assert!(Path::new(library).is_absolute() && library.ends_with("/libuaio_preload.so"), "{library}");
    assert_eq!(rest, "|1048576\n");
    let mut asked = command(["run", "--engine", "threads", "sh", "-c", echo]);
    let asked = output(asked.env("LD_PRELOAD", "").env("UAIO_MAX_NR", "5"));
    assert_eq!(stdout(&asked), format!("{library}|threads|5\n"));
    let both = output(command(["run", "--max-nr", "6", "sh", "-c", echo]).env("UAIO_MAX_NR", "5"));
    assert_eq!(stdout(&both), format!("{library}||6\n"));
}

#[test]
fn options_of_the_program_are_its_own() {
    let result = run(["run", "echo", "--summary", "-x", "--", "--help"]);
    assert_eq!(stdout(&result), "--summary -x -- --help\n");
    assert_eq!(run(["run", "--nonsense", "true"]).status.code(), Some(125));
}

#[test]
fn what_cannot_be_executed() {
    let dir = tempfile::tempdir().unwrap();
    let plain = file(dir.path(), "plain", "exit 0", 0o644);
    // A directory that this user may not search would be "permission denied", as with execvp.
    let searched = output(command(["run", "--", "no-such-program"]).env("PATH", "/usr/bin:/bin"));
    assert_refused(&searched, 127, "no-such-program: not found");
    assert_refused(&run(["run", "--", ""]), 127, "not found");
    assert_refused(&run(["run".as_ref(), plain.as_os_str()]), 126, "permission denied");
    assert_refused(&run(["run".as_ref(), dir.path().as_os_str()]), 126, "is a directory");
    let lost = file(dir.path(), "lost", "#!/no/such/interpreter\n", 0o755);
    assert_refused(&run(["run".as_ref(), lost.as_os_str()]), 127, "interpreter /no/such/interpreter: not found");
    let summary = run(["run".as_ref(), "--summary".as_ref(), lost.as_os_str()]);
    assert_refused(&summary, 127, "not found");
}

#[test]
fn text_without_a_first_line_goes_to_the_shell() {
    let dir = tempfile::tempdir().unwrap();
    let text = file(dir.path(), "text", "echo $1 $#\nexit 4\n", 0o755);
    let result = run(["run".as_ref(), text.as_os_str(), "a".as_ref(), "b".as_ref()]);
    assert_eq!((result.status.code(), stdout(&result)), (Some(4), "a 2\n"));
}

#[test]
fn death_by_a_signal_is_passed_on() {
    for (name, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11), ("USR2", 12), ("34", 34)] {
        let result = run(["run", "--summary=/dev/null", "--", "sh", "-c", &format!("kill -{name} $$")]);
        assert_eq!(result.status.signal(), Some(number), "{name}");
        assert!(!result.status.core_dumped());
        assert_eq!(stderr(&result), "");
    }
}

/// What `sh -c SCRIPT` prints, where SCRIPT executes `$@`, with and without uaio before it.
fn with_and_without(script: &str, program: &[&str]) -> (String, String) {
    let sh = |before: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).args(before).args(program).stderr(Stdio::null());
        stdout(&output(&mut command)).to_string()
    };
    let exe = uaio();
    let exe = exe.to_str().unwrap();
    let with = sh(&[exe, "run", "--"]);
    assert_eq!(with, sh(&[exe, "run", "--summary=/dev/null", "--"]), "{script}");
    (with, sh(&[]))
}

#[test]
fn signals_and_descriptors_are_inherited_as_they_are() {
    let signals = ["grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"];
    for script in ["exec \"$@\"", "trap '' PIPE CHLD HUP; exec \"$@\"", "trap '' INT; exec \"$@\""] {
        let (with, without) = with_and_without(script, &signals);
        assert_eq!(with, without, "{script}");
        assert_eq!(with.lines().count(), 3);
    }
    for script in ["exec \"$@\"", "exec \"$@\" <&-", "exec \"$@\" 2>&- 7</dev/null"] {
        let (with, without) = with_and_without(script, &["sh", "-c", "cd /proc/$$/fd; echo *"]);
        assert_eq!(with, without, "{script}");
    }
}

#[test]
fn an_installed_prefix_may_be_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    for (prefix, fits) in [("opt", true), ("with space", false), ("with:colon", false)] {
        let (first, prefix) = (dir.path().join("first"), dir.path().join(prefix));
        let installed = run(["install".as_ref(), first.as_os_str()]);
        assert!(installed.status.success(), "{}", stderr(&installed));
        fs::rename(&first, &prefix).unwrap();
        let library = prefix.join("lib/uaio/libuaio_preload.so");
        let mut command = Command::new(prefix.join("bin/uaio"));
        let result = output(command.env_remove("LD_PRELOAD").args(["run", "--", "sh", "-c", "echo $LD_PRELOAD"]));
        match fits {
            true => assert_eq!(stdout(&result).trim(), library.canonicalize().unwrap().to_str().unwrap()),
            false => assert_refused(&result, 125, "LD_PRELOAD cannot name"),
        }
    }
    let again = dir.path().join("opt/again");
    let uaio = dir.path().join("opt/bin/uaio");
    assert!(output(Command::new(&uaio).arg("install").arg(&again)).status.success());
    assert!(again.join("libexec/uaio/aiocp").exists(), "an installed uaio can install");
}

#[test]
fn print_env_is_what_run_does() {
    let run_it = run(["run", "--engine", "inline", "sh", "-c", "echo $LD_PRELOAD $UAIO_ENGINE $UAIO_MAX_NR"]);
    let print = format!("eval \"$('{}' run --engine inline --print-env)\"; ", uaio().display());
    let script = print + "echo $LD_PRELOAD $UAIO_ENGINE $UAIO_MAX_NR";
    let mut shell = Command::new("sh");
    let evaluated = output(shell.args(["-c", &script]).env_remove("LD_PRELOAD").env_remove("UAIO_MAX_NR"));
    assert_eq!(stdout(&evaluated), stdout(&run_it));
    let docker = run(["run", "--print-env=docker"]);
    assert!(stdout(&docker).starts_with("ENV LD_PRELOAD=\"/") && stdout(&docker).lines().count() == 2);
    let systemd = run(["run", "--print-env=systemd"]);
    assert!(stdout(&systemd).lines().all(|line| line.starts_with("Environment=\"")));
}

#[test]
fn versions() {
    let expected = format!("uaio {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&run(["version"])), expected);
    assert_eq!(stdout(&run(["--version"])), expected);
}
