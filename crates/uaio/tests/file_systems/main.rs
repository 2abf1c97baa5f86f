//! Data on each file system that can be made here, on each engine: random requests, and the same performed on a model.
//!
//! Needs root. `UAIO_FS_ROUNDS` says how many batches (default 12), `UAIO_FS_SEED` which.
// The tests call C the way a program does; what they pass is their own.
#![allow(clippy::undocumented_unsafe_blocks)]

mod batch;
#[path = "../common/mod.rs"]
mod common;
mod device;
mod job;
mod model;
mod place;
mod silent;

use std::path::PathBuf;

use common::on_engines_with;
use place::Place;

/// `scripted` is without faults: it only has to keep out of the way.
const ENGINES: [&str; 6] = ["auto", "inline", "uring", "threads", "kernel", "scripted"];
/// Where the file of the test is, or the device.
const TARGET: &str = "UAIO_FS_TARGET";

/// Runs the job on each engine, in the place that `make` makes, which goes away afterwards whatever happens.
fn verified_on(test: &str, make: impl FnOnce() -> Result<Place, String>) {
    if let Some(target) = std::env::var_os(TARGET) {
        return job::run(&PathBuf::from(target));
    }
    match make() {
        Err(why) => eprintln!("{test}: not applicable: {why}"),
        Ok(place) => {
            let target = place.target.to_str().unwrap();
            on_engines_with(&ENGINES, &[(TARGET, target)], test, || unreachable!("the body has a target"));
            eprintln!("{test}: verified on {}", ENGINES.join(" "));
        }
    }
}

#[test]
fn ext4() {
    verified_on("ext4", || Place::image("ext4", "mkfs.ext4", &["-q", "-F"], 64));
}

#[test]
fn xfs() {
    verified_on("xfs", || Place::image("xfs", "mkfs.xfs", &["-q", "-f"], 320));
}

#[test]
fn btrfs() {
    verified_on("btrfs", || Place::image("btrfs", "mkfs.btrfs", &["-q", "-f"], 160));
}

#[test]
fn tmpfs() {
    verified_on("tmpfs", Place::tmpfs);
}

/// The file is in the lower layer when the test opens it.
#[test]
fn overlay() {
    verified_on("overlay", Place::overlay);
}

#[test]
fn fuse() {
    verified_on("fuse", Place::fuse);
}

#[test]
fn loop_device() {
    verified_on("loop_device", || Place::loop_device(2));
}

#[test]
fn zram() {
    verified_on("zram", || Place::zram(2));
}
