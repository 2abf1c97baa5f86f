//! The script of a context that shall fail.

use std::fmt;
use std::str::FromStr;

use crate::fault::Script;

/// Which operations of a context fail, how, and when: a script for [`Builder::faults`](crate::Builder::faults), which is how
/// a program's error paths get tested.
///
/// A script is text. Its items are separated by semicolons or line ends; a line that begins with `#` is a comment.
///
/// | item | means |
/// |---|---|
/// | `seed=N` | the seed of everything that is left to chance; 0 unless given |
/// | `reorder [TIME]` | every completion comes late, by a seeded part of `TIME`, so that they come in another order; 1 ms unless given |
/// | `TARGET:EFFECT [WHEN]` | a rule; where several meet an operation, delays add up, and of the others the first of each kind counts |
///
/// | | |
/// |---|---|
/// | `TARGET` | `read`, `write`, `fsync` (fdatasync too), `poll`, `any` of them; or `submit`, the call io_submit itself |
/// | `EFFECT` | an errno (`EIO`, `ENOSPC`, …; of `submit` only `EAGAIN`): it fails, and nothing was transferred |
/// | | `short [N]`: at most `N` bytes are transferred (of `submit`: `N` operations accepted), or a seeded part; with `O_DIRECT` a multiple of 4096 bytes |
/// | | `corrupt`: the first byte that was read is changed (reads only) |
/// | | `delay TIME`: the completion comes so much later; `TIME` is a number with `ns`, `us`, `ms` or `s` |
/// | `WHEN` | `N%` by chance, `nth=N` the Nth of this target on the context, `every=N` every Nth, `at=1.N` the context's Nth operation; always unless given |
///
/// Every decision depends on the script and on the number of the operation alone, counted by submission from 1; so the same
/// program meets the same faults again. What is read and written otherwise is real.
///
/// ```
/// # use uaio::{Context, Errno, Operation};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::builder().faults("seed=7; read:EIO nth=3; write:short 512 10%".parse()?).build()?;
/// let file = std::fs::File::open("/proc/self/exe")?;
/// let read = || context.submit(Operation::read(&file, vec![0; 64], 0)).unwrap().wait().result;
/// assert_eq!([read(), read(), read(), read()], [Ok(64), Ok(64), Err(Errno::EIO), Ok(64)]);
/// # Ok(())
/// # }
/// ```
///
/// Source: this library's own; the same scripts are those of `UAIO_FAULT` (`uaio(1)`), which is for whole programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Script);

impl Faults {
    pub(crate) fn into_script(self) -> Script {
        self.0
    }
}

/// Reads a script.
impl FromStr for Faults {
    type Err = FaultsError;

    /// # Errors
    /// What is wrong with it, and what would be right.
    fn from_str(text: &str) -> Result<Faults, FaultsError> {
        text.parse().map(Faults).map_err(FaultsError)
    }
}

/// Why a script cannot be read: names the item, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultsError(String);

impl fmt::Display for FaultsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultsError {}

/// As [`InvalidInput`](std::io::ErrorKind::InvalidInput).
impl From<FaultsError> for std::io::Error {
    fn from(why: FaultsError) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, why)
    }
}
