//! Who traces this process: a tracer can answer its calls, and no other trace of that is left.

use std::fs;

use super::finding::Finding;

/// Names it, where nothing else explains what was seen.
pub fn named(finding: Finding) -> Finding {
    match tracer() {
        Some(pid) => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            finding.note(format!("process {pid} ({}) traces this one, and may answer its calls", name.trim_end()))
        }
        None => finding,
    }
}

fn tracer() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let pid = status.lines().find_map(|line| line.strip_prefix("TracerPid:")?.trim().parse().ok())?;
    (pid != 0).then_some(pid)
}
