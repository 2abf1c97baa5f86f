//! What a container forbids, and what is said in one.

use std::fs;
use std::process::Command;

use crate::common::{copy, not_applicable, output, stderr, uaio};
use crate::{Answer, clean, deny};

/// Makes a root directory at $0 with the program $1 and the mark $2, in a mount namespace.
const ROOT: &str = "set -e; mount -t tmpfs none $0; mkdir $0/usr $0/proc $0/run; mount --rbind /usr $0/usr; \
    mount -t proc proc $0/proc; for name in bin lib lib64; do ln -s usr/$name $0/$name; done; cp $1 $0/uaio; touch $0/$2; ";

/// Nobody is there who has no filter. No image is run: the place is made again as the fix makes it, without one.
#[test]
fn a_filter_of_the_container() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let Some(deny) = deny(dir.path()) else { return not_applicable("no compiler") };
    let [own, root] = ["own", "root"].map(|name| dir.path().join(name));
    copy(&uaio(), &own);
    fs::create_dir(&root).unwrap();
    let inside = |mark: &str, filter: &str| {
        let mut command = clean("unshare".as_ref());
        let enter = format!("{ROOT} exec {filter} chroot $0 /uaio doctor --json");
        command.args(["-m", "-p", "-f", "bash", "-c", &enter]).arg(&root).arg(&own).arg(mark);
        command
    };
    let free = output(&mut inside(".dockerenv", ""));
    if free.stdout.is_empty() {
        return not_applicable(&format!("needs root and namespaces: {}", stderr(&free)));
    }
    if !Answer::of(&mut inside(".dockerenv", "")).cause("io_uring").is_empty() {
        return not_applicable("no io_uring");
    }
    let filter = format!("{} uring 1", deny.display());
    for (mark, runtime) in [(".dockerenv", "docker"), ("run/.containerenv", "podman")] {
        let answer = Answer::of(&mut inside(mark, &filter));
        assert_eq!(answer.cause("io_uring"), "seccomp", "{:#}", answer.0);
        assert_eq!(answer.fix("io_uring"), format!("{runtime} run --security-opt seccomp=unconfined IMAGE"));
    }
    let unmarked = Answer::of(&mut inside("no-mark", &filter));
    assert_eq!(unmarked.cause("io_uring"), "seccomp");
    assert!(unmarked.finding("io_uring").get("fixes").is_none(), "nobody can tell who made it: {:#}", unmarked.0);
}

/// The place `docker` of the clients' matrix, as the profile has it: no namespaces by whichever call.
#[test]
fn namespaces_in_the_place_docker() {
    if std::env::var_os("UAIO_TEST_BODY").is_some() {
        return namespaces();
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(deny) = deny(dir.path()) else { return not_applicable("no compiler") };
    let mut again = Command::new(deny);
    again.args(["docker", "1"]).arg(std::env::current_exe().unwrap());
    again.args(["--exact", "container::namespaces_in_the_place_docker", "--nocapture"]).env("UAIO_TEST_BODY", "1");
    let result = output(&mut again);
    assert!(result.status.success(), "{}", stderr(&result));
}

fn namespaces() {
    let all = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    for flag in all {
        assert_eq!(clone(flag), Err(libc::EPERM), "clone with {flag:#x}");
        // SAFETY: takes no pointer.
        assert_eq!(unsafe { libc::unshare(flag) }, -1, "unshare of {flag:#x}");
    }
    assert_eq!(clone(0), Ok(()), "an ordinary child");
    // SAFETY: it is refused before it is read.
    let clone3 = unsafe { libc::syscall(libc::SYS_clone3, 0, 0) };
    assert_eq!((clone3, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::ENOSYS)));
}

/// A child that ends at once.
fn clone(flags: i32) -> Result<(), i32> {
    // SAFETY: as fork, with a copy of the memory; the child makes one call.
    match unsafe { libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0) } {
        -1 => Err(std::io::Error::last_os_error().raw_os_error().unwrap()),
        // SAFETY: ends the child.
        0 => unsafe { libc::_exit(0) },
        child => {
            // SAFETY: the child is ours, and nobody asks for its status.
            let waited = unsafe { libc::waitpid(child as i32, std::ptr::null_mut(), 0) };
            assert_eq!(i64::from(waited), child);
            Ok(())
        }
    }
}
