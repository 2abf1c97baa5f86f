//! The filter of a sandboxed QEMU.

use libc::*;

use crate::filter::{Answer, Filter, Threads};

/// Calls that newer architectures have never had.
#[cfg(target_arch = "x86_64")]
const OLD: [c_long; 6] = [SYS__sysctl, SYS_sysfs, SYS_uselib, SYS_ustat, SYS_fork, SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const OLD: [c_long; 0] = [];

/// As what QEMU installs for `-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny`.
pub fn install_as_qemu_does() {
    let host = [SYS_reboot, SYS_swapon, SYS_swapoff, SYS_syslog, SYS_mount, SYS_kexec_load];
    let users = [SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid];
    let groups = [SYS_setfsgid, SYS_setpgid, SYS_setsid];
    let spawn = [SYS_execve, SYS_execveat, SYS_setns, SYS_unshare];
    let threads = [CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD, CLONE_SYSVSEM, CLONE_SETTLS];
    let marks = [CLONE_PARENT_SETTID, CLONE_CHILD_CLEARTID];
    let no_threads = CLONE_PIDFD | CLONE_PTRACE | CLONE_VFORK | CLONE_PARENT | CLONE_UNTRACED | CLONE_IO;
    let spaces =
        CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
    let mut filter = Filter::default();
    for list in [&OLD[..], &host, &users, &groups, &spawn] {
        filter = filter.calls(list, Answer::Kill);
    }
    for flag in threads.into_iter().chain(marks) {
        filter = filter.clone_flags(flag, false, Answer::Kill);
    }
    let refused = Answer::Errno(EPERM);
    filter
        .clone_flags(no_threads | spaces, true, Answer::Kill)
        .calls(&[SYS_clone3], Answer::Errno(ENOSYS))
        .calls(&[SYS_setpriority, SYS_sched_setparam, SYS_sched_setaffinity], refused)
        .argument(SYS_sched_setscheduler, 1, SCHED_IDLE as u32, false, refused)
        .install(Answer::Allow, Threads::All);
}
