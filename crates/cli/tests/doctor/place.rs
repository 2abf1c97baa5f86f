//! What a place has and has not.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use nix::unistd::geteuid;

use crate::common::{aiocp, copy, not_applicable, output, spawn, stderr, uaio};
use crate::{Answer, ask, clean, deny, here, os, shell, ways};

/// A user id that has no process.
pub const LONELY: u32 = 54_321;

#[test]
fn io_uring_forbidden_by_a_filter() {
    let dir = tempfile::tempdir().unwrap();
    let Some(deny) = deny(dir.path()) else { return not_applicable("no compiler") };
    for (what, errno, name) in [("uring", "1", "EPERM"), ("uring", "38", "ENOSYS"), ("docker", "1", "EPERM")] {
        let answer = ask(&[deny.as_ref(), what.as_ref(), errno.as_ref()], &[], &[]);
        if answer.cause("io_uring").starts_with("disabled") {
            return not_applicable("kernel.io_uring_disabled");
        }
        assert_eq!((answer.cause("io_uring"), answer.status()), ("seccomp", 1));
        assert_eq!(answer.finding("io_uring")["says"], format!("io_uring_setup gives {name}"));
        assert_eq!(answer.finding("engine")["details"]["engine"], "threads");
        // Our parent is this very test, which has one filter less.
        let parent = format!("a program that process {} (", std::process::id());
        assert!(answer.notes("io_uring").contains(&parent), "{}", answer.notes("io_uring"));
    }
    let without = here(&[]);
    if without.cause("io_uring").is_empty() {
        assert_eq!(without.finding("engine")["details"]["engine"], "uring");
    }
}

#[test]
fn kernel_aio_forbidden_by_a_filter() {
    let dir = tempfile::tempdir().unwrap();
    let Some(deny) = deny(dir.path()) else { return not_applicable("no compiler") };
    let client = aiocp();
    let program = [client.as_os_str(), "--size".as_ref(), "64K".as_ref()];
    for (what, errno) in [("aio", "38"), ("aio", "1"), ("setup", "11"), ("both", "38")] {
        let before: [&OsStr; 3] = [deny.as_ref(), what.as_ref(), errno.as_ref()];
        let answer = ask(&before, &[&["--".as_ref()], &program[..]].concat(), &[]);
        if answer.cause("kernel AIO") == "quota" {
            return not_applicable("fs.aio-max-nr is used up");
        }
        assert_eq!((answer.cause("kernel AIO"), answer.status()), ("seccomp", 1), "{:#}", answer.0);
        let alone = output(clean(deny.as_ref()).args([what, errno]).args(program));
        assert!(!alone.status.success() && stderr(&alone).contains("io_setup"), "{}", stderr(&alone));
        let fix = format!("{} {what} {errno} {}", deny.display(), answer.fix("kernel AIO"));
        let fixed = output(shell(&fix).current_dir(dir.path()));
        assert!(fixed.status.success(), "{fix}: {}", stderr(&fixed));
    }
}

#[test]
fn who_holds_contexts() {
    let dir = tempfile::tempdir().unwrap();
    let Some(program) = ways(dir.path(), "holder", &["-DSYSCALL"]) else { return not_applicable("no compiler") };
    let mut holder = spawn(clean(program.as_ref()).arg("stay").stdout(std::process::Stdio::piped()));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut line).unwrap();
    let answer = here(&[]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    if line != "0\n" {
        return not_applicable("no kernel AIO");
    }
    let holders = answer.finding("kernel AIO")["details"]["holders"].as_array().unwrap().clone();
    let ours = holders.iter().find(|one| one["pid"] == holder.id()).unwrap_or_else(|| panic!("{holders:?}"));
    assert_eq!((&ours["program"], &ours["contexts"]), (&"holder".into(), &1.into()));
    // Two pages hold what was asked for, and up to 126.
    assert_eq!(ours["requests_max"], 126);
    assert!(answer.finding("kernel AIO")["details"]["aio_nr"].as_u64().unwrap() >= 100);
}

/// Older kernels, as the test switch shows them.
#[test]
fn io_uring_too_old() {
    if !here(&[]).cause("io_uring").is_empty() {
        return not_applicable("no io_uring");
    }
    for (mask, lacks) in [("nodrop", "IORING_FEAT_NODROP"), ("ring4,fsync", "IORING_OP_FSYNC")] {
        let answer = ask(&[], &[], &[("UAIO_URING_MASK", mask)]);
        assert_eq!((answer.cause("io_uring"), answer.status()), ("too-old", 1), "{:#}", answer.0);
        assert_eq!(answer.finding("io_uring")["says"], format!("present, without {lacks}"));
        assert_eq!(answer.finding("engine")["details"]["engine"], "threads");
        let script = format!("{}; exec uaio doctor --json", answer.fix("io_uring"));
        let fixed = Answer::of(shell(&script).env("UAIO_URING_MASK", mask));
        assert_eq!(
            (fixed.cause("io_uring"), &fixed.finding("engine")["details"]["engine"]),
            ("", &"uring".into())
        );
    }
    assert_eq!(ask(&[], &[], &[("UAIO_URING_MASK", "cqe_skip")]).cause("io_uring"), "");
}

/// What the user has asked for himself; the fix is done in a shell that then asks again.
#[test]
fn settings_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let Some(deny) = deny(dir.path()) else { return not_applicable("no compiler") };
    let before: [&OsStr; 3] = [deny.as_ref(), "uring".as_ref(), "1".as_ref()];
    for (variable, value, cause) in [
        ("UAIO_ENGINE", "uring", "asked-for-missing"),
        ("UAIO_ENGINE", "off", "asked-off"),
        ("UAIO_MAX_NR", "0", "asked-quota"),
    ] {
        let answer = ask(&before, &[], &[(variable, value)]);
        assert_eq!(answer.cause("engine"), cause, "{:#}", answer.0);
        let script = format!("{}; exec {} uring 1 uaio doctor --json", answer.fix("engine"), deny.display());
        let fixed = Answer::of(shell(&script).env(variable, value));
        assert_eq!(
            (fixed.cause("engine"), &fixed.finding("engine")["details"]["engine"]),
            ("", &"threads".into())
        );
    }
    let odd = ask(&[], &[], &[("UAIO_ENGINE", "warp")]);
    assert!(odd.cause("engine").is_empty() && odd.notes("engine").contains("warp is not known"));
    for (value, engine) in [("threads", "threads"), ("inline", "inline")] {
        let asked = ask(&[], &[], &[("UAIO_ENGINE", value)]);
        assert_eq!(asked.finding("engine")["details"]["engine"], engine);
    }
}

/// What a test runner has left open is closed first, so that the limit is what counts.
#[test]
fn no_descriptors() {
    let alone = |limit: u32, fix: &str| {
        let close = "for fd in $(ls /proc/$$/fd); do [ $fd -gt 2 ] && eval \"exec $fd>&-\"; done";
        Answer::of(&mut shell(&format!("{close}; ulimit -Sn {limit}; {fix}exec uaio doctor --json")))
    };
    for limit in 4..=6 {
        let answer = alone(limit, "");
        assert_eq!(answer.cause("engine"), "descriptors", "{:#}", answer.0);
        assert_eq!(alone(limit, &format!("{}; ", answer.fix("engine"))).cause("engine"), "");
    }
    assert_eq!(alone(8, "").cause("engine"), "");
}

/// In a mount namespace of its own, with something else at /proc.
#[test]
fn no_proc() {
    let alone = |fix: &str| {
        let script = format!("mount -t tmpfs none /proc && {fix}exec \"$0\" doctor --json");
        output(clean("unshare".as_ref()).args(["-m", "sh", "-c", &script]).arg(uaio()))
    };
    let result = alone("");
    if !result.status.success() && result.stdout.is_empty() {
        return not_applicable("needs root and mount namespaces");
    }
    let answer = |result: &std::process::Output| Answer(serde_json::from_slice(&result.stdout).unwrap());
    assert_eq!(answer(&result).cause("engine"), "no-proc", "{:#}", answer(&result).0);
    let fixed = answer(&alone(&format!("{}; ", answer(&result).fix("engine"))));
    assert_eq!(fixed.cause("engine"), "");
}

/// A file that its owner has closed to others.
#[test]
fn a_file_that_may_not_be_read() {
    if !geteuid().is_root() {
        return not_applicable("needs root, to be another user");
    }
    let dir = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let [own, closed] = ["uaio", "closed"].map(|name| dir.path().join(name));
    copy(&uaio(), &own);
    fs::write(&closed, [0; 8192]).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
    let ask = || {
        let mut command = clean(own.as_ref());
        Answer::of(command.args(["doctor", "--json", "--path"]).arg(&closed).uid(LONELY).gid(LONELY))
    };
    let (answer, topic) = (ask(), format!("path {}", closed.display()));
    assert_eq!((answer.cause(&topic), answer.status()), ("not-readable", 1));
    assert!(output(&mut shell(answer.fix(&topic))).status.success());
    assert_eq!(ask().cause(&topic), "");
}

/// Linux 5.12 and later do not count rings; a limit of 0 is then no trouble, and none is made up.
#[test]
fn no_locked_memory() {
    let (free, locked) = (here(&[]), Answer::of(&mut shell("ulimit -l 0; exec uaio doctor --json")));
    if free.cause("io_uring").is_empty() && locked.cause("io_uring") == "memlock" {
        assert_eq!(locked.fix("io_uring"), "ulimit -l unlimited");
    } else {
        assert_eq!(locked.cause("io_uring"), free.cause("io_uring"));
        assert_eq!(locked.finding("io_uring")["says"], free.finding("io_uring")["says"]);
    }
}

#[test]
fn file_systems() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let answer = here(&["--path", path, "/dev/shm"]);
    let details = &answer.finding(&format!("path {path}"))["details"];
    let kind = output(clean("findmnt".as_ref()).args(["-no", "FSTYPE", "-T", path]));
    assert_eq!(details["file_system"], String::from_utf8_lossy(&kind.stdout).trim_end());
    if ["ext4", "xfs", "btrfs"].contains(&details["file_system"].as_str().unwrap()) {
        assert_eq!((&details["nowait"], &details["direct"]), (&true.into(), &true.into()));
    }
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "the file is left behind");
    let memory = answer.finding("path /dev/shm");
    assert_eq!(
        (&memory["details"]["file_system"], &memory["details"]["nowait"]),
        (&"tmpfs".into(), &false.into())
    );
    assert!(answer.notes("path /dev/shm").contains("executed inside io_submit"));
}

#[test]
fn where_no_file_can_be_made() {
    let answer = here(&["--path", "/proc"]);
    assert_eq!(
        (answer.cause("path /proc"), answer.fix("path /proc")),
        ("no-file", "uaio doctor --path /proc/FILE")
    );
    let command = answer.fix("path /proc").replace("FILE", "version");
    let fixed = Answer::of(&mut shell(&format!("{command} --json")));
    assert_eq!(fixed.cause("path /proc/version"), "");
    assert_eq!(fixed.finding("path /proc/version")["details"]["direct"], false);
    let fifo = tempfile::tempdir().unwrap();
    let fifo = fifo.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let result = crate::common::run(os(&["doctor", "--path", fifo.to_str().unwrap()]));
    assert_eq!(result.status.code(), Some(125));
}
