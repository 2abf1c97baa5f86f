//! A file system whose process does not answer: who asks it waits, and nobody else does.

use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant};

use uaio::abi::{IOCB_CMD_PREAD, Iocb};

use crate::TARGET;
use crate::common::{Page, destroy, on_engines_with, rw, setup, submit};
use crate::place::Place;

const SERVER: &str = "UAIO_FS_SERVER";
/// The kernel asks a FUSE file system for a file's attributes again after a second.
const FORGOTTEN: Duration = Duration::from_millis(1500);
const LONGEST: Duration = Duration::from_secs(60);

/// A process in which no thread runs. It goes on with the end of the value, whatever happens.
struct Stopped(i32);

impl Stopped {
    /// The signal wakes one thread, and the others go on until that one has been run.
    fn new(process: i32) -> Stopped {
        let stopped = Stopped(process);
        assert_eq!(unsafe { libc::kill(process, libc::SIGSTOP) }, 0);
        let until = Instant::now() + LONGEST;
        while !stands_still(process) {
            assert!(Instant::now() < until, "process {process} does not stop");
            thread::sleep(Duration::from_millis(1));
        }
        stopped
    }
}

/// proc(5): the state stands behind the name, which ends with the last `)`.
fn stands_still(process: i32) -> bool {
    let mut threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.all(|thread| {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
        stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
    })
}

impl Drop for Stopped {
    fn drop(&mut self) {
        unsafe { libc::kill(self.0, libc::SIGCONT) };
    }
}

fn read(fd: i32, page: &mut Page) -> [Iocb; 1] {
    [rw(IOCB_CMD_PREAD, fd, page.0.as_mut_ptr(), 4096, 0, 1)]
}

/// The first io_submit of a context looks at the files.
fn others_go_on(target: &str, server: i32) {
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(target).unwrap();
    let zero = std::fs::File::open("/dev/zero").unwrap();
    let (asks, other) = (setup(8), setup(8));
    let mut pages = [Page([0; 4096]), Page([0; 4096])];
    let [mut of_file, mut of_zero] =
        [read(file.as_raw_fd(), &mut pages[0]), read(zero.as_raw_fd(), &mut pages[1])];
    thread::sleep(FORGOTTEN);
    let stopped = Stopped::new(server);
    thread::scope(|s| {
        let asking = s.spawn(|| submit(asks, &mut of_file));
        thread::sleep(Duration::from_millis(200));
        assert!(!asking.is_finished(), "the file system was not asked");
        let going = s.spawn(|| submit(other, &mut of_zero));
        let until = Instant::now() + LONGEST;
        while !going.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        let goes_on = going.is_finished();
        drop(stopped);
        assert!(goes_on, "another context's first io_submit waits");
        assert_eq!((going.join().unwrap(), asking.join().unwrap()), (1, 1));
    });
    [asks, other].into_iter().for_each(destroy);
    assert_eq!([pages[0].0[0], pages[1].0[0]], [7, 0]);
}

#[test]
fn a_file_system_that_does_not_answer_holds_no_other_context() {
    let test = "silent::a_file_system_that_does_not_answer_holds_no_other_context";
    if let (Ok(target), Ok(server)) = (std::env::var(TARGET), std::env::var(SERVER)) {
        return others_go_on(&target, server.parse().unwrap());
    }
    match Place::fuse() {
        Err(why) => eprintln!("{test}: not applicable: {why}"),
        Ok(place) => {
            std::fs::write(&place.target, [7; 4096]).unwrap();
            let (target, server) = (place.target.to_str().unwrap(), place.server().unwrap().to_string());
            let variables = [(TARGET, target), (SERVER, server.as_str())];
            on_engines_with(&["auto", "uring", "threads"], &variables, test, || {
                unreachable!("the body has a target")
            });
        }
    }
}
