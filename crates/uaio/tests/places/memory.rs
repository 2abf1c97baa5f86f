//! Little memory: a cgroup whose limit is 16 MiB.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use uaio::abi::*;

use crate::common::*;
use crate::job;

const LIMIT: &str = "16777216";
/// Twice the limit: pages have to be given back.
const BYTES: usize = 32 << 20;

/// A cgroup under our own, which goes away with the value.
struct Group(PathBuf);

impl Group {
    /// Err: why none can be had.
    fn new() -> Result<Group, String> {
        let lines = fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
        let own = |controller: &str| {
            let line = lines.lines().find(|line| line.split(':').nth(1) == Some(controller))?;
            line.splitn(3, ':').nth(2).map(|path| path.trim_start_matches('/').to_owned())
        };
        let name = format!("uaio-{}", std::process::id());
        let old =
            own("memory").map(|path| (Path::new("/sys/fs/cgroup/memory").join(path), "memory.limit_in_bytes"));
        let new = own("").map(|path| (Path::new("/sys/fs/cgroup").join(path), "memory.max"));
        let (parent, file) = old.or(new).ok_or("/proc/self/cgroup names none")?;
        let group = Group(parent.join(name));
        let tell = |e: std::io::Error| format!("{}: {e}", group.0.display());
        fs::create_dir(&group.0).map_err(tell)?;
        fs::write(group.0.join(file), LIMIT).map_err(tell)?;
        Ok(group)
    }

    /// This process, from now on.
    fn enter(&self) {
        fs::write(self.0.join("cgroup.procs"), std::process::id().to_string()).unwrap();
    }

    /// The most that was used, bytes.
    fn peak(&self) -> u64 {
        let read = |name: &str| fs::read_to_string(self.0.join(name)).ok()?.trim().parse().ok();
        read("memory.max_usage_in_bytes").or_else(|| read("memory.peak")).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.with_file_name("cgroup.procs"), std::process::id().to_string());
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn sixteen_megabytes_are_enough() {
    on_every_engine("memory::sixteen_megabytes_are_enough", || {
        let group = match Group::new() {
            Ok(group) => group,
            Err(why) => return eprintln!("not applicable: no cgroup with a limit of memory: {why}"),
        };
        group.enter();
        job();
        more_than_there_is(false);
        more_than_there_is(true);
        eprintln!("{}: at most {} bytes", engine(), group.peak());
        assert!((1 << 20..=16 << 20).contains(&group.peak()), "{}", group.peak());
    });
}

/// Writes and reads a file that is larger than the memory, through 1 MiB of it.
fn more_than_there_is(direct: bool) {
    let Some(scratch) = Scratch::new("large", direct) else { return };
    let (fd, ctx) = (scratch.file.as_raw_fd(), setup(256));
    let mut pages: Vec<Page> = (0..256).map(|_| Page([0; 4096])).collect();
    let bytes = pages.len() * 4096;
    for op in [IOCB_CMD_PWRITE, IOCB_CMD_PREAD] {
        for part in 0..BYTES / bytes {
            let value = part as u8 + 1;
            pages.iter_mut().for_each(|page| page.0.fill(if op == IOCB_CMD_PWRITE { value } else { 0 }));
            let one = |(i, page): (usize, &mut Page)| {
                rw(op, fd, page.0.as_mut_ptr(), 4096, (part * bytes + i * 4096) as i64, 0)
            };
            let mut iocbs: Vec<Iocb> = pages.iter_mut().enumerate().map(one).collect();
            crate::complete(ctx, &mut iocbs, 4096);
            assert!(pages.iter().all(|page| page.0 == [value; 4096]));
        }
    }
    destroy(ctx);
}
