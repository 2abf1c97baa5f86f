//! Batches of random requests, each performed on the model too, with its answer and its data compared.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use uaio::abi::*;

use crate::batch::{Batch, Style};
use crate::common::{destroy, engine, reap, setup, submit};
use crate::model::Model;

/// The longest file.
pub const LONGEST: usize = 1 << 20;
/// Most requests of a batch.
const BATCH: usize = 48;

struct Job {
    rng: fastrand::Rng,
    model: Model,
    buffered: File,
    /// None: the file system has no O_DIRECT.
    direct: Option<File>,
    ctx: usize,
    requests: usize,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The file, or device, at `target`.
pub fn run(target: &Path) {
    let seed = number("UAIO_FS_SEED", 1);
    let mut job = Job::new(target, seed);
    for round in 0..number("UAIO_FS_ROUNDS", 12) {
        let direct = job.direct.is_some() && job.rng.bool();
        let what = format!("{}, seed {seed}, round {round}, direct {direct}", engine());
        job.batch(direct, &what);
        job.between(&what);
    }
    job.compare("the end");
    destroy(job.ctx);
    eprintln!("{}: {} requests, with O_DIRECT: {}", engine(), job.requests, job.direct.is_some());
}

impl Job {
    fn new(target: &Path, seed: u64) -> Job {
        let mut options = File::options();
        options.read(true).write(true).create(true);
        let buffered = options.open(target).unwrap();
        let is_device = buffered.metadata().unwrap().file_type().is_block_device();
        let bytes = if is_device { std::fs::read(target).unwrap() } else { Vec::new() };
        buffered.set_len(0).unwrap_or_else(|why| assert!(is_device, "{why}"));
        let direct = options.custom_flags(libc::O_DIRECT).open(target).ok();
        let model = Model { bytes, is_device };
        Job { rng: fastrand::Rng::with_seed(seed), model, buffered, direct, ctx: setup(64), requests: 0 }
    }

    /// One batch, handed over by two calls.
    fn batch(&mut self, direct: bool, what: &str) {
        let file = self.direct.as_ref().filter(|_| direct).unwrap_or(&self.buffered);
        let style = Style { fd: file.as_raw_fd(), direct };
        let mut batch = Batch::new(style, &mut self.rng, &mut self.model, BATCH);
        let mut iocbs = batch.iocbs();
        let cut = self.rng.usize(..=iocbs.len());
        for part in [0..cut, cut..iocbs.len()] {
            let (len, part) = (part.len(), &mut iocbs[part]);
            assert_eq!(submit(self.ctx, part), len as isize, "{what}");
        }
        for event in reap(self.ctx, iocbs.len()) {
            batch.check(event.data as usize, event.res, what);
        }
        self.requests += iocbs.len();
    }

    /// What changes the file without AIO, now and then.
    fn between(&mut self, what: &str) {
        let (offset, len) = (self.rng.usize(..LONGEST), self.rng.usize(1..LONGEST / 4));
        match self.rng.u8(..12) {
            0 | 1 => self.drop_cache(),
            2 | 3 => self.compare(what),
            _ if self.model.is_device => {}
            4 => {
                self.buffered.set_len(len as u64).unwrap();
                self.model.set_len(len);
            }
            5 if self.allocate(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, offset, len) => {
                self.model.zero(offset, len);
            }
            6 if self.allocate(0, 0, LONGEST) => self.model.set_len(LONGEST),
            _ => {}
        }
    }

    fn allocate(&self, mode: i32, offset: usize, len: usize) -> bool {
        unsafe { libc::fallocate(self.buffered.as_raw_fd(), mode, offset as i64, len as i64) == 0 }
    }

    /// What is read next is not in the page cache.
    fn drop_cache(&self) {
        self.buffered.sync_all().unwrap();
        unsafe { libc::posix_fadvise(self.buffered.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }

    /// The whole file.
    fn compare(&self, what: &str) {
        let mut bytes = vec![0; self.model.len()];
        self.buffered.read_exact_at(&mut bytes, 0).unwrap();
        let differs = bytes.iter().zip(&self.model.bytes).position(|(is, should)| is != should);
        assert_eq!(differs, None, "{what}: the file differs from here on");
        let len = self.buffered.metadata().unwrap().len();
        assert!(self.model.is_device || len == self.model.len() as u64, "{what}: {len} bytes");
        self.drop_cache();
    }
}

/// An iocb for a sync.
pub fn sync(fd: i32, data_only: bool, data: u64) -> Iocb {
    let opcode = if data_only { IOCB_CMD_FDSYNC } else { IOCB_CMD_FSYNC };
    Iocb { data, opcode, fildes: fd as u32, ..Iocb::default() }
}
