//! Copies a file, several blocks at a time, with a progress bar.
//!
//! `cargo run --example copy -- FROM TO`

use std::fs::File;

use indicatif::{ProgressBar, ProgressStyle};
use uaio::{BufferPool, Completions, Context, Operation, PoolBuf};

/// Bytes of one block.
const BLOCK: usize = 256 << 10;
/// Blocks in flight.
const DEPTH: usize = 16;

fn main() -> std::io::Result<()> {
    let mut names = std::env::args_os().skip(1);
    let (Some(from), Some(to)) = (names.next(), names.next()) else {
        eprintln!("usage: copy FROM TO");
        std::process::exit(2);
    };
    let (from, to) = (File::open(from)?, File::create(to)?);
    let bar = ProgressBar::new(from.metadata()?.len());
    bar.set_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}").unwrap());
    copy(&from, &to, &bar)?;
    bar.finish();
    Ok(())
}

fn copy(from: &File, to: &File, bar: &ProgressBar) -> std::io::Result<()> {
    let len = from.metadata()?.len();
    let context = Context::new(DEPTH as u32)?;
    let pool = BufferPool::new(DEPTH, BLOCK, 4096);
    let mut reads: Completions<PoolBuf> = context.completions();
    let mut offsets = std::collections::HashMap::new();
    let mut next = 0;
    loop {
        // As many reads as there are buffers, then what ends first.
        while next < len
            && let Some(buffer) = pool.take()
        {
            let id = reads.submit(Operation::read(from, buffer, next))?;
            offsets.insert(id, next);
            next += BLOCK as u64;
        }
        let Some(read) = reads.next() else { break };
        let offset = offsets.remove(&read.id).expect("an offset for each read");
        let (bytes, buffer) = read.ok()?;
        let wanted = (BLOCK as u64).min(len - offset) as usize;
        if bytes < wanted {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the file has become shorter"));
        }
        write_all(&context, to, buffer, offset)?;
        bar.inc(bytes as u64);
    }
    context.submit(Operation::fsync(to))?.wait().result?;
    Ok(())
}

/// A write may be short: the rest goes once more.
fn write_all(context: &Context, to: &File, mut buffer: PoolBuf, mut offset: u64) -> std::io::Result<()> {
    while !buffer.is_empty() {
        let (written, back) = context.submit(Operation::write(to, buffer, offset))?.wait().ok()?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        buffer = back;
        let left = buffer.len() - written;
        buffer.copy_within(written.., 0);
        buffer.set_len(left);
        offset += written as u64;
    }
    Ok(())
}
