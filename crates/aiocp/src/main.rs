//! aiocp makes a file, copies it with Linux native AIO and verifies the copy.
//!
//! It makes the system calls itself (`io_setup` and so on) and knows nothing of who answers them.

mod aio;
mod content;
mod copy;
mod files;
mod size;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};

use crate::files::{BLOCK_ALIGN, Files};

/// Make a file, copy it with many Linux AIO requests in flight, and verify the copy.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Size of the file, rounded up to 4K; K, M and G are understood
    #[arg(long, default_value = "256M", value_parser = parse_size)]
    size: u64,
    /// Requests in flight
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    depth: u32,
    /// Bytes of one request, a multiple of 4K
    #[arg(long, default_value = "128K", value_parser = parse_block)]
    block: usize,
    /// Where the files are made [default: TMPDIR, else /var/tmp]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Go through the page cache even where O_DIRECT would work
    #[arg(long)]
    buffered: bool,
}

fn parse_size(text: &str) -> Result<u64, String> {
    size::parse(text)?
        .checked_next_multiple_of(BLOCK_ALIGN)
        .filter(|size| *size > 0)
        .ok_or_else(|| "too small".into())
}

fn parse_block(text: &str) -> Result<usize, String> {
    let block = size::parse(text)?;
    if block == 0 || !block.is_multiple_of(BLOCK_ALIGN) || block > 1 << 26 {
        return Err("must be a multiple of 4K, up to 64M".into());
    }
    Ok(block as usize)
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("aiocp: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// The whole job; gives the line that sums it up.
fn run(args: &Args) -> Result<String, String> {
    let context = aio::Context::new(args.depth).map_err(|e| aio::explain_setup(&e))?;
    let size = args.size;
    let dir = args.dir.clone().unwrap_or_else(files::default_dir);
    let files = make_files(args, &dir, size).map_err(|e| format!("{}: {e}", dir.display()))?;
    let copied = copy_files(args, &context, &files, size)?;
    verify(&files, size)?;
    let mib = size as f64 / f64::from(1 << 20);
    let (seconds, how) = (copied.as_secs_f64(), if files.direct { "O_DIRECT" } else { "buffered" });
    Ok(format!(
        "copied {}, {} requests in flight, {how}, in {seconds:.2} s: {:.1} MiB/s, verified",
        BinaryBytes(size),
        args.depth,
        mib / seconds.max(1e-9)
    ))
}

fn make_files(args: &Args, dir: &std::path::Path, size: u64) -> io::Result<Files> {
    let bar = progress("making", size);
    let files = Files::make(dir, size, |done| bar.set_position(done))?;
    bar.finish_and_clear();
    if args.buffered { Ok(files) } else { files.try_direct() }
}

fn copy_files(args: &Args, context: &aio::Context, files: &Files, size: u64) -> Result<Duration, String> {
    let bar = progress("copying", size);
    let started = Instant::now();
    copy::Copy::new(context, files, size, args.depth as usize, args.block).run(|done| bar.set_position(done))?;
    let took = started.elapsed();
    bar.finish_and_clear();
    Ok(took)
}

fn verify(files: &Files, size: u64) -> Result<(), String> {
    let bar = progress("verifying", size);
    files.verify(size, |done| bar.set_position(done))?;
    bar.finish_and_clear();
    Ok(())
}

/// A progress line on stderr, or none where stderr is no terminal.
fn progress(what: &'static str, size: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{msg:>9} [{wide_bar}] {bytes}/{total_bytes} {binary_bytes_per_sec}";
    let style = ProgressStyle::with_template(template).expect("a fixed template");
    ProgressBar::new(size).with_style(style.progress_chars("=> ")).with_message(what)
}
