//! What a libaio.so.1 has beside the six functions: its older functions and forms, by name and version, and its file.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_void};

use object::elf::FileHeader64;
use object::read::elf::ElfFile;
use object::{Endianness, Object, ObjectSymbol};

use crate::aio::Target;
use crate::case::Run;
use uaio::abi::{IoEvent, Iocb, Timespec};

/// The library of the target, loaded.
pub struct Libaio {
    handle: *mut c_void,
    file: Vec<u8>,
}

pub type QueueInit = unsafe extern "C" fn(i32, *mut usize) -> i32;
pub type QueueRelease = unsafe extern "C" fn(usize) -> i32;
pub type QueueRun = unsafe extern "C" fn(usize) -> i32;
pub type QueueWait = unsafe extern "C" fn(usize, *const Timespec) -> i32;
pub type OldGetevents = unsafe extern "C" fn(usize, isize, *mut IoEvent, *const Timespec) -> i32;
pub type OldCancel = unsafe extern "C" fn(usize, *mut Iocb) -> i32;
pub type Pgetevents = unsafe extern "C" fn(usize, isize, isize, *mut IoEvent, *const Timespec, *const u64) -> i32;

pub const V0_1: &CStr = c"LIBAIO_0.1";
pub const V0_4: &CStr = c"LIBAIO_0.4";
pub const V0_5: &CStr = c"LIBAIO_0.5";

impl Libaio {
    /// Ends the case where no libaio is tried.
    pub fn of(t: &Run) -> Libaio {
        let Target::Libaio(path) = &t.target else { t.not_applicable("about libaio's own functions") };
        let name = CString::new(path.as_str()).unwrap();
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null());
        Libaio { handle, file: std::fs::read(path).unwrap() }
    }

    /// Address of a symbol in exactly this version, if there is one.
    pub fn find(&self, name: &CStr, version: &CStr) -> Option<usize> {
        let at = unsafe { libc::dlvsym(self.handle, name.as_ptr(), version.as_ptr()) };
        (!at.is_null()).then_some(at as usize)
    }

    /// As the function type `F`, which the caller knows.
    fn function<F: Copy>(&self, name: &CStr, version: &CStr) -> F {
        let at = self.find(name, version).unwrap_or_else(|| panic!("no {name:?}@{version:?}"));
        unsafe { std::mem::transmute_copy(&at) }
    }

    pub fn queue_init(&self) -> QueueInit {
        self.function(c"io_queue_init", V0_1)
    }

    pub fn queue_release(&self) -> QueueRelease {
        self.function(c"io_queue_release", V0_1)
    }

    pub fn queue_run(&self) -> QueueRun {
        self.function(c"io_queue_run", V0_1)
    }

    /// The forms of 0.1 and of 0.4.
    pub fn queue_waits(&self) -> [QueueWait; 2] {
        [V0_1, V0_4].map(|version| self.function(c"io_queue_wait", version))
    }

    pub fn old_getevents(&self) -> OldGetevents {
        self.function(c"io_getevents", V0_1)
    }

    pub fn old_cancel(&self) -> OldCancel {
        self.function(c"io_cancel", V0_1)
    }

    pub fn pgetevents(&self) -> Pgetevents {
        self.function(c"io_pgetevents", V0_5)
    }

    fn elf(&self) -> ElfFile<'_, FileHeader64<Endianness>> {
        ElfFile::parse(&*self.file).expect("a 64-bit ELF file")
    }

    /// Names of all that it exports, the version symbols among them.
    pub fn exports(&self) -> BTreeSet<String> {
        let elf = self.elf();
        let defined = elf.dynamic_symbols().filter(|s| s.is_global() && !s.is_undefined());
        defined.map(|s| s.name().unwrap().to_string()).collect()
    }

    /// Names that the loader looks up when it relocates the library.
    pub fn looked_up(&self) -> BTreeSet<String> {
        let elf = self.elf();
        let table = elf.dynamic_symbol_table().unwrap();
        let targets = elf.dynamic_relocations().unwrap().filter_map(|(_, relocation)| match relocation.target() {
            object::RelocationTarget::Symbol(index) => Some(index),
            _ => None,
        });
        use object::ObjectSymbolTable;
        targets.map(|index| table.symbol_by_index(index).unwrap().name().unwrap().to_string()).collect()
    }
}
