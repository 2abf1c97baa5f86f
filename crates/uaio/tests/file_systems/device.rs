//! Block devices made for a test: a loop device over a file, and a zram of its own.

use std::ffi::c_int;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

const LOOP_CTL_GET_FREE: u64 = 0x4C82;
const LOOP_CONFIGURE: u64 = 0x4C0A;
/// struct loop_config: the file's descriptor, then a loop_info64 whose flags say that it detaches with the last close.
const LOOP_CONFIG: usize = 304;
const LO_FLAGS: usize = 60;
const AUTOCLEAR: u32 = 4;
/// Somebody else may have taken the free one.
const TRIES: u32 = 10;

/// A loop device. It detaches itself when its last user is gone, however that ends.
pub struct Loop {
    pub path: PathBuf,
    _device: File,
}

impl Loop {
    pub fn over(image: &Path) -> io::Result<Loop> {
        let mut last = io::Error::other("no loop device");
        for _ in 0..TRIES {
            match Loop::once(image) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    fn once(image: &Path) -> io::Result<Loop> {
        let control = read_write(Path::new("/dev/loop-control"))?;
        let number = control_call(&control, LOOP_CTL_GET_FREE, std::ptr::null())?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let (device, image) = (read_write(&path)?, read_write(image)?);
        let mut config = [0u8; LOOP_CONFIG];
        config[..4].copy_from_slice(&image.as_raw_fd().to_ne_bytes());
        config[LO_FLAGS..LO_FLAGS + 4].copy_from_slice(&AUTOCLEAR.to_ne_bytes());
        control_call(&device, LOOP_CONFIGURE, config.as_ptr())?;
        Ok(Loop { path, _device: device })
    }
}

fn read_write(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

fn control_call(file: &File, request: u64, argument: *const u8) -> io::Result<c_int> {
    let got = unsafe { libc::ioctl(file.as_raw_fd(), request as _, argument) };
    if got < 0 { Err(io::Error::last_os_error()) } else { Ok(got) }
}

/// A zram that is taken out of the kernel with the value.
pub struct Zram {
    pub path: PathBuf,
    number: u32,
}

const ZRAM_CONTROL: &str = "/sys/class/zram-control";

impl Zram {
    pub fn new(bytes: u64) -> io::Result<Zram> {
        let number = fs::read_to_string(Path::new(ZRAM_CONTROL).join("hot_add"))?;
        let number = number.trim().parse().map_err(io::Error::other)?;
        let zram = Zram { path: format!("/dev/zram{number}").into(), number };
        fs::write(zram.setting("disksize"), bytes.to_string())?;
        Ok(zram)
    }

    fn setting(&self, name: &str) -> PathBuf {
        format!("/sys/block/zram{}/{name}", self.number).into()
    }
}

impl Drop for Zram {
    fn drop(&mut self) {
        let _ = fs::write(self.setting("reset"), "1");
        let _ = fs::write(Path::new(ZRAM_CONTROL).join("hot_remove"), self.number.to_string());
    }
}
