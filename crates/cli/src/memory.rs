//! Looking into another process's memory.

use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// The kernel's limit for the pieces of one read.
const PIECES_MAX: usize = 1024;

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub start: usize,
    pub len: usize,
    pub writable: bool,
    /// Empty for anonymous memory.
    pub name: String,
}

/// The mappings of process `pid`.
pub fn mappings(pid: i32) -> io::Result<Vec<Mapping>> {
    // A name can be any bytes; those of interest are ASCII.
    let text = fs::read(format!("/proc/{pid}/maps"))?;
    Ok(String::from_utf8_lossy(&text).lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let writable = words.next()?.starts_with("rw");
    let name = words.nth(3).unwrap_or_default().trim_start().to_string();
    Some(Mapping { start, len: end.checked_sub(start)?, writable, name })
}

/// Reads `buf.len()` bytes at `address` of process `pid`.
pub fn read(pid: i32, address: usize, buf: &mut [u8]) -> io::Result<()> {
    let len = buf.len();
    match process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(buf)], &[RemoteIoVec { base: address, len }])
    {
        Ok(got) if got == len => Ok(()),
        Ok(_) | Err(Errno::EFAULT) => Err(Errno::EFAULT.into()),
        // A filter may forbid the call and leave us the file.
        Err(_) => File::open(format!("/proc/{pid}/mem"))?.read_exact_at(buf, address as u64),
    }
}

/// The first 8 bytes of each of the pages at `addresses`; pages that cannot be read end the list early.
pub fn read_words(pid: i32, addresses: &[usize]) -> Vec<u64> {
    let mut words = Vec::with_capacity(addresses.len());
    for piece in addresses.chunks(PIECES_MAX) {
        let mut bytes = vec![0; piece.len() * 8];
        let remote: Vec<_> = piece.iter().map(|base| RemoteIoVec { base: *base, len: 8 }).collect();
        let got = process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(&mut bytes)], &remote).unwrap_or(0);
        words.extend(bytes[..got / 8 * 8].as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)));
        if got < bytes.len() {
            break;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let file = parse("7f00-8000 rw-s 00000000 08:01 42     /tmp/uaio-x/12.stats (deleted)").unwrap();
        assert_eq!((file.start, file.len, file.writable), (0x7f00, 0x100, true));
        assert_eq!(file.name, "/tmp/uaio-x/12.stats (deleted)");
        let anonymous = parse("1000-3000 r--p 00000000 00:00 0 ").unwrap();
        assert_eq!((anonymous.writable, anonymous.name.as_str()), (false, ""));
    }

    #[test]
    fn our_own_memory() {
        let (pid, secret) = (std::process::id() as i32, [0x1122_3344_5566_7788_u64, 9]);
        let address = secret.as_ptr() as usize;
        let mut buf = [0; 8];
        read(pid, address, &mut buf).unwrap();
        assert_eq!(u64::from_ne_bytes(buf), secret[0]);
        assert_eq!(read_words(pid, &[address, address + 8]), secret);
        assert_eq!(read_words(pid, &[address, 8, address]), secret[..1]);
        assert!(read(pid, 8, &mut buf).is_err());
        assert!(mappings(pid).unwrap().iter().any(|m| m.name.contains("stack")));
    }
}
