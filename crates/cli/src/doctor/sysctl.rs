//! The kernel's settings.

use std::fs;

/// `area.name`, where there is one. Over uaio the plain paths of two of them are answered for the process by
/// itself; the dot asks the host.
pub fn number(area: &str, name: &str) -> Option<u64> {
    fs::read_to_string(format!("/proc/sys/./{area}/{name}")).ok()?.trim().parse().ok()
}
