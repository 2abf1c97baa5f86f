//! File systems made for a test, mounted in a namespace of the test's own: nothing of them outlives it.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::common::scratch_dir;
use crate::device::{Loop, Zram};

const MIB: u64 = 1 << 20;
/// How often it is looked whether FUSE is there, 10 ms apart.
const LOOKS: u32 = 500;

/// Where the requests go. The fields are let go of in this order: what is above, then what is below.
pub struct Place {
    /// The file, or the device.
    pub target: PathBuf,
    mounts: Vec<Mount>,
    server: Option<Server>,
    _devices: (Option<Loop>, Option<Zram>),
    dir: tempfile::TempDir,
}

/// A mount that goes with the value.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let point = c_string(&self.0);
        unsafe { libc::umount2(point.as_ptr(), libc::MNT_DETACH) };
    }
}

/// The process behind a FUSE file system. It ends with the mount, and with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Place {
    fn new() -> Result<Place, String> {
        if unsafe { libc::geteuid() } != 0 {
            return Err("needs root".into());
        }
        own_namespace()?;
        let dir = tempfile::Builder::new().prefix("uaio-fs-").tempdir_in(scratch_dir()).map_err(tell)?;
        Ok(Place { target: PathBuf::new(), mounts: Vec::new(), server: None, _devices: (None, None), dir })
    }

    /// A file system of `kind` in a file of `mib` MiB.
    pub fn image(kind: &str, make: &str, options: &[&str], mib: u64) -> Result<Place, String> {
        let mut place = Place::new()?;
        let point = place.mounted(kind, make, options, mib)?;
        place.with_file(&point)
    }

    pub fn tmpfs() -> Result<Place, String> {
        let mut place = Place::new()?;
        let point = place.mount(Path::new("tmpfs"), "tmpfs", "size=64m", "point")?;
        place.with_file(&point)
    }

    pub fn overlay() -> Result<Place, String> {
        let mut place = Place::new()?;
        let base = place.mounted("ext4", "mkfs.ext4", &["-q", "-F"], 64)?;
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| base.join(name));
        [&lower, &upper, &work].into_iter().try_for_each(fs::create_dir).map_err(tell)?;
        fs::write(lower.join("file"), "").map_err(tell)?;
        let layers =
            format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        let point = place.mount(Path::new("overlay"), "overlay", &layers, "above")?;
        place.with_file(&point)
    }

    /// ext4 again, by a process.
    pub fn fuse() -> Result<Place, String> {
        let mut place = Place::new()?;
        let image = place.image_file(64)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        let point = place.directory("point")?;
        let mut server = Command::new("fuse2fs");
        server
            .arg(&image)
            .arg(&point)
            .args(["-f", "-o", "rw,fakeroot"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        unsafe { server.pre_exec(|| Ok(_ = libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))) };
        place.server = Some(Server(server.spawn().map_err(|e| format!("fuse2fs: {e}"))?));
        let device = |path: &Path| fs::metadata(path).map(|at| at.dev()).unwrap_or(0);
        let outside = device(place.dir.path());
        for _ in 0..LOOKS {
            if ![outside, 0].contains(&device(&point)) {
                place.mounts.push(Mount(point.clone()));
                return place.with_file(&point);
            }
            sleep(Duration::from_millis(10));
        }
        Err("fuse2fs mounts nothing".into())
    }

    /// The process that answers for a FUSE file system.
    pub fn server(&self) -> Option<u32> {
        self.server.as_ref().map(|server| server.0.id())
    }

    pub fn loop_device(mib: u64) -> Result<Place, String> {
        let mut place = Place::new()?;
        let image = place.image_file(mib)?;
        let device = Loop::over(&image).map_err(tell)?;
        place.target.clone_from(&device.path);
        place._devices.0 = Some(device);
        Ok(place)
    }

    pub fn zram(mib: u64) -> Result<Place, String> {
        let mut place = Place::new()?;
        let device = Zram::new(mib * MIB).map_err(|e| format!("no zram: {e}"))?;
        place.target.clone_from(&device.path);
        place._devices.1 = Some(device);
        Ok(place)
    }

    fn mounted(&mut self, kind: &str, make: &str, options: &[&str], mib: u64) -> Result<PathBuf, String> {
        let image = self.image_file(mib)?;
        run(Command::new(make).args(options).arg(&image))?;
        let device = Loop::over(&image).map_err(tell)?;
        let point = self.mount(&device.path, kind, "", "point")?;
        self._devices.0 = Some(device);
        Ok(point)
    }

    fn image_file(&self, mib: u64) -> Result<PathBuf, String> {
        let image = self.dir.path().join("image");
        fs::File::create(&image).and_then(|file| file.set_len(mib * MIB)).map_err(tell)?;
        Ok(image)
    }

    fn directory(&self, name: &str) -> Result<PathBuf, String> {
        let point = self.dir.path().join(name);
        fs::create_dir(&point).map_err(tell)?;
        Ok(point)
    }

    fn mount(&mut self, source: &Path, kind: &str, options: &str, name: &str) -> Result<PathBuf, String> {
        let point = self.directory(name)?;
        let [source, at, kind, options] = [source, &point, Path::new(kind), Path::new(options)].map(c_string);
        let done = unsafe { libc::mount(source.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast()) };
        if done != 0 {
            return Err(format!("no {}: {}", kind.to_string_lossy(), std::io::Error::last_os_error()));
        }
        // In front: what is mounted last goes first.
        self.mounts.insert(0, Mount(point.clone()));
        Ok(point)
    }

    fn with_file(mut self, point: &Path) -> Result<Place, String> {
        self.target = point.join("file");
        Ok(self)
    }
}

/// Mounts of this thread, and of the processes that it starts, are nobody else's.
fn own_namespace() -> Result<(), String> {
    let private = libc::MS_REC | libc::MS_PRIVATE;
    let done = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), private, std::ptr::null()) == 0
    };
    if done { Ok(()) } else { Err(format!("no namespace for mounts: {}", std::io::Error::last_os_error())) }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.output().map_err(|e| format!("{name}: {e}"))?;
    if out.status.success() { Ok(()) } else { Err(format!("{name}: {}", String::from_utf8_lossy(&out.stderr))) }
}

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).unwrap()
}

fn tell(error: impl Into<std::io::Error>) -> String {
    error.into().to_string()
}
