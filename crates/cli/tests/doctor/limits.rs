//! Limits that let no thread start.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use tempfile::TempDir;

use crate::common::{copy, not_applicable, output, spawn, stderr, uaio, until};
use crate::{Answer, shell};

/// User ids that have no process: one for each test.
const LONELY: [u32; 2] = [54_331, 54_332];

/// A directory for everybody, with the command.
fn for_everybody() -> (TempDir, PathBuf) {
    let dir = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    let own = dir.path().join("uaio");
    copy(&uaio(), &own);
    (dir, own)
}

/// A shell of a user who may have `soft` tasks, and `hard` if he asks for more.
fn limited(user: u32, (soft, hard): (u64, u64), script: &str) -> Command {
    let mut command = shell(script);
    let limit = move || setrlimit(Resource::RLIMIT_NPROC, soft, hard).map_err(std::io::Error::from);
    // SAFETY: setrlimit is async-signal-safe.
    unsafe { command.pre_exec(limit) };
    command.uid(user).gid(user);
    command
}

#[test]
fn the_soft_limit() {
    if !geteuid().is_root() {
        return not_applicable("needs root, to be a user of its own");
    }
    let (_dir, own) = for_everybody();
    let alone = |fix: &str| {
        Answer::of(&mut limited(LONELY[0], (1, 1000), &format!("{fix}exec {} doctor --json", own.display())))
    };
    let answer = alone("");
    assert_eq!((answer.cause("engine"), answer.fix("engine")), ("nproc", "ulimit -u 1000"), "{:#}", answer.0);
    assert_eq!(alone(&format!("{}; ", answer.fix("engine"))).cause("engine"), "");
}

/// Ended when dropped.
struct Asker(Child);

impl Drop for Asker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A shell that may have one task beside it asks; root does what is printed; the shell asks again.
#[test]
fn the_hard_limit() {
    if !geteuid().is_root() {
        return not_applicable("needs root, to be a user of its own");
    }
    let (dir, own) = for_everybody();
    let go = dir.path().join("go");
    mkfifo(&go, Mode::S_IRWXU).unwrap();
    chown(&go, Some(LONELY[1]), None).unwrap();
    // Open for both, so that neither side waits for the other to come.
    let mut told = File::options().read(true).write(true).open(&go).unwrap();
    let ask =
        |file: &str| format!("{0} doctor --json >{1}/now; : >{1}/{file}", own.display(), dir.path().display());
    let script = format!("{}; read <{}; {}", ask("first"), go.display(), ask("second"));
    let asker = Asker(spawn(&mut limited(LONELY[1], (2, 2), &script)));
    let answer = |file: &str| {
        until("it has answered", || dir.path().join(file).exists().then_some(())).unwrap();
        Answer(serde_json::from_str(&fs::read_to_string(dir.path().join("now")).unwrap()).unwrap())
    };
    let before = answer("first");
    let raise = format!("prlimit --pid {} --nproc=unlimited", asker.0.id());
    assert_eq!((before.cause("engine"), before.fix("engine")), ("nproc-hard", &*raise), "{:#}", before.0);
    // In many containers root may not raise it.
    let raised = output(&mut shell(&raise));
    told.write_all(b"\n").unwrap();
    let expected = if raised.status.success() { "" } else { "nproc-hard" };
    assert_eq!(answer("second").cause("engine"), expected, "{}", stderr(&raised));
    let restart = before.finding("engine")["fixes"][1]["command"].as_str().unwrap();
    let again = restart.replace("uaio run -- PROGRAM", &format!("{} doctor --json", own.display()));
    assert_eq!(Answer::of(&mut shell(&again)).cause("engine"), "");
}

/// A control group in which there may be one task.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Option<Group> {
        let lines = fs::read_to_string("/proc/self/cgroup").ok()?;
        let of = |name: &str| {
            lines.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(name)?.strip_prefix(":/"))
        };
        let (old, new) = (of("pids").map(|path| format!("/sys/fs/cgroup/pids/{path}")), of(""));
        let parent = old.or(new.map(|path| format!("/sys/fs/cgroup/{path}")))?;
        let group = Group(Path::new(&parent).join(format!("uaio-doctor-{name}-{}", std::process::id())));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join("pids.max"), "1").ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn no_more_tasks_in_the_control_group() {
    let Some(group) = Group::new("seen") else {
        return not_applicable("needs root and a control group for tasks");
    };
    let inside = format!("echo $$ >{}/cgroup.procs; exec uaio doctor --json", group.0.display());
    let answer = Answer::of(&mut shell(&inside));
    let fix = format!("echo max >{}/pids.max", group.0.display());
    assert_eq!((answer.cause("engine"), answer.fix("engine")), ("pids", &*fix), "{:#}", answer.0);
    assert!(output(&mut shell(answer.fix("engine"))).status.success());
    assert_eq!(Answer::of(&mut shell(&inside)).cause("engine"), "");
}

/// As in a container that shows nothing of its own group.
#[test]
fn no_more_tasks_in_a_group_that_cannot_be_seen() {
    let Some(group) = Group::new("unseen") else {
        return not_applicable("needs root and a control group for tasks");
    };
    let hide = "mount -t tmpfs none /sys/fs/cgroup && echo $$ >&9 && exec uaio doctor --json 9>&-";
    let inside = format!("exec 9>{}/cgroup.procs; exec unshare -m bash -c '{hide}'", group.0.display());
    let result = output(&mut shell(&inside));
    if result.stdout.is_empty() {
        return not_applicable("needs mount namespaces");
    }
    let answer = Answer::of(&mut shell(&inside));
    assert_eq!(answer.cause("engine"), "threads", "{:#}", answer.0);
    fs::write(group.0.join("pids.max"), "max").unwrap();
    assert_eq!(Answer::of(&mut shell(&inside)).cause("engine"), "");
}
