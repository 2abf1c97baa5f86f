//! Settings of the whole host. They disturb everybody, so these tests are asked for: `UAIO_TEST_SYSCTL=1`, as root.

use std::fs;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::unistd::geteuid;

use crate::common::{not_applicable, output, spawn, stderr};
use crate::{Answer, clean, here, shell, ways};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const NEEDS: &str = "needs UAIO_TEST_SYSCTL=1, root, and a setting that can be changed";

/// A setting, put back when dropped.
struct Setting {
    path: &'static str,
    before: String,
    _one: Option<MutexGuard<'static, ()>>,
}

impl Setting {
    fn take(path: &'static str) -> Option<Setting> {
        let asked = std::env::var_os("UAIO_TEST_SYSCTL").is_some_and(|value| value == "1");
        let one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let before = fs::read_to_string(path).ok()?;
        let setting = Setting { path, before, _one: Some(one) };
        // In many containers not even root may.
        let may = geteuid().is_root() && fs::OpenOptions::new().write(true).open(path).is_ok();
        (asked && may).then_some(setting)
    }

    /// Another one, by whoever has taken one.
    fn and(&self, path: &'static str) -> Setting {
        Setting { path, before: fs::read_to_string(path).unwrap(), _one: None }
    }

    fn number(&self) -> u64 {
        fs::read_to_string(self.path).unwrap().trim().parse().unwrap()
    }

    fn set(&self, value: u64) {
        fs::write(self.path, value.to_string()).unwrap();
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if fs::read_to_string(self.path).is_ok_and(|now| now != self.before) {
            let _ = fs::write(self.path, &self.before);
        }
    }
}

fn do_it(fix: &str) {
    let done = output(&mut shell(fix));
    assert!(done.status.success(), "{fix}: {}", stderr(&done));
}

#[test]
fn io_uring_disabled_for_everybody() {
    let Some(setting) = Setting::take("/proc/sys/kernel/io_uring_disabled") else {
        return not_applicable(NEEDS);
    };
    setting.set(2);
    let answer = here(&[]);
    assert_eq!(
        (answer.cause("io_uring"), &answer.finding("engine")["details"]["engine"]),
        ("disabled", &"threads".into())
    );
    do_it(answer.fix("io_uring"));
    assert_eq!((here(&[]).cause("io_uring"), setting.number()), ("", 0));
}

#[test]
fn io_uring_disabled_for_users() {
    let Some(setting) = Setting::take("/proc/sys/kernel/io_uring_disabled") else {
        return not_applicable(NEEDS);
    };
    setting.set(1);
    let as_user =
        || Answer::of(clean("setpriv".as_ref()).args(USER).arg(crate::common::uaio()).args(["doctor", "--json"]));
    assert_eq!(here(&[]).cause("io_uring"), "", "root may");
    let answer = as_user();
    assert_eq!(answer.cause("io_uring"), "disabled-for-users", "{:#}", answer.0);
    // The second fix, for the user's group alone.
    let group = setting.and("/proc/sys/kernel/io_uring_group");
    do_it(answer.finding("io_uring")["fixes"][1]["command"].as_str().unwrap());
    let with_group = as_user();
    drop(group);
    assert_eq!(with_group.cause("io_uring"), "");
    do_it(answer.fix("io_uring"));
    assert_eq!(as_user().cause("io_uring"), "");
}

/// An ordinary user who may still read everything: the build directory may be closed to others.
const USER: [&str; 6] = [
    "--reuid=54322",
    "--regid=54322",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
    "--bounding-set=-sys_admin",
];

/// Whoever takes all that is left; ended when dropped.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_quota_used_up() {
    let Some(setting) = Setting::take("/proc/sys/fs/aio-max-nr") else {
        return not_applicable(NEEDS);
    };
    let dir = tempfile::tempdir().unwrap();
    let Some(program) = ways(dir.path(), "greedy", &["-DSYSCALL"]) else { return not_applicable("no compiler") };
    let holder = Holder(spawn(clean(program.as_ref()).arg("stay").stdout(Stdio::null())));
    crate::common::until("it has a context", || {
        fs::read_to_string(format!("/proc/{}/maps", holder.0.id())).unwrap().contains("/[aio]").then_some(())
    })
    .unwrap();
    setting.set(1);
    let answer = here(&[]);
    assert_eq!(
        (answer.cause("kernel AIO"), answer.fix("kernel AIO")),
        ("quota", "sysctl -w fs.aio-max-nr=1048576")
    );
    let line = format!("process {} (greedy) holds 1 context of at most 126 requests", holder.0.id());
    assert!(answer.notes("kernel AIO").contains(&line), "{}", answer.notes("kernel AIO"));
    let over = output(&mut shell(
        &answer.finding("kernel AIO")["fixes"][1]["command"]
            .as_str()
            .unwrap()
            .replace("PROGRAM", program.to_str().unwrap()),
    ));
    assert_eq!(String::from_utf8_lossy(&over.stdout), "0\n");
    do_it(answer.fix("kernel AIO"));
    assert_eq!(here(&[]).cause("kernel AIO"), "");
}
