//! Builds what `uaio run` needs beside itself: the preload library, libaio.so.1, libaio.a, and the client aiocp.
//!
//! Cargo can build the static libraries but not link shared ones with versioned symbols: GNU ld refuses a version
//! script beside the one that rustc passes. So a nested cargo, with a target directory of its own, makes the
//! archives, and the C compiler that Rust links with anyway makes the libraries.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exported names are taken from the archive by name; these bring the versioned ones with them.
const VERSIONED: &str = "uaio_getevents_0_4";

struct Place {
    /// The workspace.
    root: PathBuf,
    /// Where this script may write.
    out: PathBuf,
    /// Where the final binaries go: target/<profile>.
    bin: PathBuf,
    release: bool,
    /// What is built for, if it is not this machine.
    foreign: Option<String>,
}

fn main() {
    let place = Place::find();
    for dir in ["uaio/src", "libaio", "preload", "aiocp/src", "uaio/Cargo.toml", "aiocp/Cargo.toml"] {
        println!("cargo:rerun-if-changed={}", place.root.join("crates").join(dir).display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    for file in ["Cargo.lock", "Cargo.toml"] {
        println!("cargo:rerun-if-changed={}", place.root.join(file).display());
    }

    let built = place.cargo(&["-p", "uaio-preload", "-p", "aiocp"], "main");
    place.copy(&built.join("aiocp"), "aiocp");
    let preload = place.object(&built.join("libuaio_preload.a"), "preload/link/preload.exports", "preload.o");
    let entry_points = ["-Wl,-init,uaio_preload_init", "-Wl,--defsym,uaio_core=uaio_preload_core"];
    place.share(&preload, "libuaio_preload.so", "libaio/link/libaio.map", &entry_points);

    let built = place.cargo(&["-p", "uaio-libaio"], "main");
    let libaio = place.object(&built.join("libuaio_libaio.a"), "libaio/link/libaio.exports", "libaio.o");
    place.share(&libaio, "libaio.so.1", "libaio/link/libaio.map", &[]);
    place.share(&libaio, "libaio.so.1t64", "libaio/link/libaio-t64.map", &[]);

    let built = place.cargo(&["-p", "uaio-libaio", "--features", "static"], "static");
    let plain = place.object(&built.join("libuaio_libaio.a"), "libaio/link/static.exports", "static.o");
    place.archive(&plain);
}

impl Place {
    fn find() -> Place {
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
        let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
        // target/<profile>/build/<package>-<hash>/out
        let bin = out.ancestors().nth(3).expect("OUT_DIR lies in the target directory").to_path_buf();
        let root = manifest.ancestors().nth(2).expect("the crate lies in crates/").to_path_buf();
        let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
        let foreign = env::var("TARGET").ok().filter(|target| Some(target) != env::var("HOST").ok().as_ref());
        Place { root, out, bin, release, foreign }
    }

    /// Builds packages of this workspace; returns the directory of the artifacts.
    fn cargo(&self, packages: &[&str], name: &str) -> PathBuf {
        let target = self.out.join(name);
        let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
        cargo.arg("build").args(packages).current_dir(&self.root).arg("--target-dir").arg(&target);
        if self.release {
            cargo.arg("--release");
        }
        if let Some(platform) = &self.foreign {
            cargo.arg("--target").arg(platform);
        }
        // What the outer cargo, or a lint run, has set for itself.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            let linker = text.starts_with("CARGO_TARGET_") && text.ends_with("_LINKER");
            let kept = linker || ["CARGO_HOME", "CARGO_NET_OFFLINE"].contains(&&*text);
            let ours = text.starts_with("CARGO_") && !kept;
            if ours || ["RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "CLIPPY_ARGS"].contains(&&*text) {
                cargo.env_remove(&name);
            }
        }
        run(&mut cargo);
        target.join(self.foreign.as_deref().unwrap_or("")).join(if self.release { "release" } else { "debug" })
    }

    /// One object file with everything that the exported names need, in which nothing else is global.
    fn object(&self, archive: &Path, exports: &str, name: &str) -> PathBuf {
        let exports = self.root.join("crates").join(exports);
        let list = std::fs::read_to_string(&exports).expect("the list of exports");
        let whole = self.out.join(name);
        let names = list.lines().filter(|line| !line.contains('@'));
        let wanted = names.chain([VERSIONED]).map(|name| format!("-Wl,-u,{name}"));
        run(cc().args(["-nostdlib", "-r", "-o"]).arg(&whole).args(wanted).arg(archive));
        // The bitcode that rustc leaves in its objects means nothing any more, and trips ar's LTO plugin.
        let mut objcopy = binutil("objcopy");
        objcopy.args(["-R", ".llvmbc", "-R", ".llvmcmd"]);
        run(objcopy.arg(format!("--keep-global-symbols={}", exports.display())).arg(&whole));
        whole
    }

    fn share(&self, object: &Path, soname: &str, map: &str, extra: &[&str]) {
        let map = self.root.join("crates").join(map);
        let out = self.out.join(soname);
        let mut link = cc();
        link.args(["-shared", "-static-libgcc", "-o"]).arg(&out).arg(object);
        link.arg(format!("-Wl,--version-script={}", map.display())).arg(format!("-Wl,-soname,{soname}"));
        link.args(["-Wl,--gc-sections", "-Wl,--strip-debug", "-Wl,-z,nodelete", "-Wl,-z,relro", "-Wl,-z,now"]);
        run(link.args(extra));
        self.copy(&out, soname);
    }

    fn archive(&self, object: &Path) {
        let out = self.out.join("libaio.a");
        let _ = std::fs::remove_file(&out);
        run(binutil("objcopy").arg("--strip-debug").arg(object));
        run(binutil("ar").arg("rcs").arg(&out).arg(object));
        self.copy(&out, "libaio.a");
    }

    /// Puts a file beside the binaries. By renaming: the old one may be in use.
    fn copy(&self, from: &Path, name: &str) {
        let fresh = self.bin.join(format!("{name}.new"));
        let copied = std::fs::copy(from, &fresh).and_then(|_| std::fs::rename(&fresh, self.bin.join(name)));
        copied.unwrap_or_else(|e| panic!("{} to {}: {e}", from.display(), self.bin.display()));
    }
}

/// The C compiler; for another machine the one that Rust links with.
fn compiler() -> String {
    let linker = env::var("RUSTC_LINKER").ok().filter(|_| env::var("TARGET") != env::var("HOST"));
    linker.or_else(|| env::var("CC").ok()).unwrap_or_else(|| "cc".into())
}

fn cc() -> Command {
    Command::new(compiler())
}

/// What comes with the compiler: aarch64-linux-gnu-objcopy beside aarch64-linux-gnu-gcc.
fn binutil(name: &str) -> Command {
    let compiler = compiler();
    let prefix = compiler.strip_suffix("-gcc").map(|platform| format!("{platform}-")).unwrap_or_default();
    Command::new(prefix + name)
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(status.success(), "{command:?}: {status}");
}
