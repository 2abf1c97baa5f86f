//! What the ELF header of a program says about how it is started.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use object::elf::{self, FileHeader32, FileHeader64, Machine};
use object::read::elf::{FileHeader, ProgramHeader};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, FileKind};

/// What must be equal for a library to be loaded into a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    bits: u8,
    big_endian: bool,
    machine: Machine,
}

/// Platform and loader of a program.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    pub platform: Platform,
    /// PT_INTERP, the loader that starts it.
    pub interpreter: Option<PathBuf>,
}

/// Reads them; None when the file is not an ELF file. Only the headers are read, for programs can be large.
pub fn read(file: File) -> Option<Facts> {
    let data = ReadCache::new(file);
    match FileKind::parse(&data).ok()? {
        FileKind::Elf32 => facts::<FileHeader32<Endianness>, _>(&data, 32),
        FileKind::Elf64 => facts::<FileHeader64<Endianness>, _>(&data, 64),
        _ => None,
    }
}

/// Our own platform, which is also that of our libraries.
pub fn own_platform() -> Option<Platform> {
    Some(read(File::open("/proc/self/exe").ok()?)?.platform)
}

fn facts<'d, H, R>(data: R, bits: u8) -> Option<Facts>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'d>,
{
    let header = H::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).ok()?;
    let interpreter = segments.iter().find_map(|segment| segment.interpreter(endian, data).ok().flatten());
    let machine = header.e_machine(endian);
    let platform = Platform { bits, big_endian: endian == Endianness::Big, machine };
    Some(Facts { platform, interpreter: interpreter.map(|bytes| OsString::from_vec(bytes.to_vec()).into()) })
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = match self.machine {
            elf::EM_386 => "x86",
            elf::EM_X86_64 => "x86-64",
            elf::EM_ARM => "ARM",
            elf::EM_AARCH64 => "AArch64",
            elf::EM_RISCV => "RISC-V",
            elf::EM_PPC64 => "PowerPC",
            elf::EM_S390 => "S/390",
            Machine(number) => return write!(f, "{}-bit machine {number}", self.bits),
        };
        let order = if self.big_endian { " big-endian" } else { "" };
        write!(f, "{}-bit {machine}{order}", self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn header(class: u8, machine: u16) -> Option<Facts> {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
        bytes.extend(machine.to_le_bytes());
        bytes.extend([1, 0, 0, 0]);
        bytes.resize(64, 0);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        read(file)
    }

    #[test]
    fn ourselves() {
        let facts = read(File::open("/proc/self/exe").unwrap()).unwrap();
        assert_eq!(Some(facts.platform), own_platform());
        assert!(facts.interpreter.is_some());
    }

    #[test]
    fn other_machines() {
        assert_eq!(header(1, 3).unwrap().platform.to_string(), "32-bit x86");
        assert_eq!(header(1, 62).unwrap().platform.to_string(), "32-bit x86-64");
        assert_eq!(header(2, 183).unwrap().platform.to_string(), "64-bit AArch64");
        assert_eq!(header(2, 999).unwrap().platform.to_string(), "64-bit machine 999");
        assert_eq!(header(2, 62).unwrap().interpreter, None);
    }

    #[test]
    fn no_elf() {
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(read(file.try_clone().unwrap()), None);
        file.write_all(b"#!/bin/sh\n").unwrap();
        file.rewind().unwrap();
        assert_eq!(read(file), None);
    }
}
