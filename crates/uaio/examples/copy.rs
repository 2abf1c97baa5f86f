//! Copies a file, several blocks at a time, with a progress bar.
//!
//! `cargo run --release --example copy -- FROM TO`

use std::collections::HashMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use uaio::{BufferPool, Completion, Completions, Context, Operation, PoolBuf};

/// Bytes of one block.
const BLOCK: u64 = 256 << 10;
/// Blocks in flight.
const DEPTH: usize = 16;

fn main() {
    let names: Vec<_> = std::env::args_os().skip(1).collect();
    let [from, to] = &names[..] else {
        eprintln!("usage: copy FROM TO");
        std::process::exit(2);
    };
    match copy(Path::new(from), Path::new(to)) {
        Ok(bytes) => println!("{bytes} bytes copied"),
        Err(why) => {
            eprintln!("copy: {why}");
            std::process::exit(1);
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<u64> {
    let source = File::open(from).map_err(|why| about(from, &why))?;
    if !source.metadata()?.is_file() {
        return Err(Error::other(format!("{} is no regular file", from.display())));
    }
    // Not emptied before it is known that it is another file.
    let target =
        File::options().write(true).create(true).truncate(false).open(to).map_err(|why| about(to, &why))?;
    let (a, b) = (source.metadata()?, target.metadata()?);
    if (a.dev(), a.ino()) == (b.dev(), b.ino()) {
        return Err(Error::other(format!("{} and {} are the same file", from.display(), to.display())));
    }
    target.set_len(0).map_err(|why| about(to, &why))?;
    let context = Context::new(DEPTH as u32)?;
    let mut copy = Copy {
        from: &source,
        to: &target,
        blocks: context.completions(),
        parts: HashMap::with_capacity(DEPTH),
        // On a terminal; elsewhere it shows nothing.
        bar: ProgressBar::new(a.len()).with_style(style()),
    };
    copy.run(a.len())?;
    copy.bar.finish_and_clear();
    context.submit(Operation::fsync(&target))?.wait().result?;
    Ok(a.len())
}

fn about(path: &Path, why: &Error) -> Error {
    Error::new(why.kind(), format!("{}: {why}", path.display()))
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}").expect("a valid template")
}

/// What is left of a block, and what its buffer is used for at the moment.
struct Part {
    at: u64,
    end: u64,
    writes: bool,
}

struct Copy<'a> {
    from: &'a File,
    to: &'a File,
    blocks: Completions<PoolBuf>,
    /// By the number of the operation in flight.
    parts: HashMap<u64, Part>,
    bar: ProgressBar,
}

impl Copy<'_> {
    fn run(&mut self, len: u64) -> Result<()> {
        let pool = BufferPool::new(DEPTH, BLOCK as usize, 4096);
        let mut next = 0;
        loop {
            // As many reads as there are buffers, then what ends first.
            while next < len
                && let Some(buffer) = pool.take()
            {
                let end = len.min(next + BLOCK);
                self.read(buffer, Part { at: next, end, writes: false })?;
                next = end;
            }
            let Some(done) = self.blocks.next() else { return Ok(()) };
            self.go_on(done)?;
        }
    }

    fn read(&mut self, buffer: PoolBuf, part: Part) -> Result<()> {
        let id = self.blocks.submit(Operation::read(self.from, buffer, part.at))?;
        self.parts.insert(id, part);
        Ok(())
    }

    fn write(&mut self, buffer: PoolBuf, part: Part) -> Result<()> {
        let id = self.blocks.submit(Operation::write(self.to, buffer, part.at))?;
        self.parts.insert(id, part);
        Ok(())
    }

    /// Read: write. Written: read the rest, for both may be short.
    fn go_on(&mut self, done: Completion<PoolBuf>) -> Result<()> {
        let part = self.parts.remove(&done.id).expect("what is in flight is known");
        let (bytes, mut buffer) = done.ok()?;
        if bytes == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if !part.writes {
            buffer.set_len(bytes.min((part.end - part.at) as usize));
            return self.write(buffer, Part { writes: true, ..part });
        }
        self.bar.inc(bytes as u64);
        let at = part.at + bytes as u64;
        if at < part.end { self.read(buffer, Part { at, writes: false, ..part }) } else { Ok(()) }
    }
}
