//! An event loop of one's own: epoll watches a pipe and a context's eventfd side by side.
//!
//! The standard input is appended to a file: `ls -l | cargo run --example event_loop -- FILE`

use std::collections::HashMap;
use std::fs::File;
use std::io::{Error, Read, Result, stdin};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use uaio::{Completions, Context, Operation};

const INPUT: u64 = 0;
const COMPLETIONS: u64 = 1;

fn main() {
    let names: Vec<_> = std::env::args_os().skip(1).collect();
    let [name] = &names[..] else {
        eprintln!("usage: event_loop FILE");
        std::process::exit(2);
    };
    let appended = File::options().create(true).append(true).open(name).and_then(|file| append(&file));
    match appended {
        Ok(bytes) => println!("{bytes} bytes appended"),
        Err(why) => {
            eprintln!("event_loop: {}: {why}", name.display());
            std::process::exit(1);
        }
    }
}

/// Until the end of the input.
fn append(file: &File) -> Result<u64> {
    let context = Context::builder().capacity(64).eventfd().build()?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    watch(&epoll, context.eventfd().expect("asked for"), COMPLETIONS)?;
    watch(&epoll, stdin(), INPUT).map_err(|why| match why {
        Errno::EPERM => {
            Error::other("the standard input is a file, which is always ready: use a pipe, `cat FILE |`")
        }
        other => other.into(),
    })?;
    let mut writes = Writes { file, done: context.completions(), lens: HashMap::new(), total: 0 };
    let mut open = true;
    while open || !writes.done.is_empty() {
        let mut ready = [EpollEvent::empty()];
        match epoll.wait(&mut ready, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            waited => waited?,
        };
        if ready[0].data() == COMPLETIONS {
            context.dispatch();
            writes.finish()?;
        } else {
            let mut bytes = vec![0; 4096];
            let got = stdin().read(&mut bytes)?;
            bytes.truncate(got);
            open = got > 0;
            if open {
                writes.start(bytes)?;
            } else {
                epoll.delete(stdin())?;
            }
        }
    }
    Ok(writes.total)
}

fn watch(epoll: &Epoll, fd: impl AsFd, number: u64) -> nix::Result<()> {
    epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, number))
}

struct Writes<'f> {
    file: &'f File,
    done: Completions<Vec<u8>>,
    /// How long each is that is in flight, by its number.
    lens: HashMap<u64, usize>,
    total: u64,
}

impl Writes<'_> {
    fn start(&mut self, bytes: Vec<u8>) -> Result<()> {
        let len = bytes.len();
        let id = self.done.submit(Operation::write(self.file, bytes, 0))?;
        self.lens.insert(id, len);
        Ok(())
    }

    /// What has ended. A short write to a file means that the disk is full.
    fn finish(&mut self) -> Result<()> {
        while let Some(write) = self.done.try_next() {
            let len = self.lens.remove(&write.id);
            let written = write.result?;
            if len != Some(written) {
                return Err(Error::other("short write"));
            }
            self.total += written as u64;
        }
        Ok(())
    }
}
