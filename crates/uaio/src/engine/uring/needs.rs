//! What we use of io_uring, and how a test takes it away.

use io_uring::{IoUring, Probe, opcode};

/// What the engine cannot do without, by the names that [`Mask`] knows.
const OPCODES: [(&str, u8); 5] = [
    ("readv", opcode::Readv::CODE),
    ("writev", opcode::Writev::CODE),
    ("fsync", opcode::Fsync::CODE),
    ("poll_add", opcode::PollAdd::CODE),
    ("async_cancel", opcode::AsyncCancel::CODE),
];
/// Features, and sizes of rings.
const OTHERS: [&str; 7] = ["nodrop", "ext_arg", "cqe_skip", "ring256", "ring64", "ring16", "ring4"];

/// `UAIO_URING_MASK`: what is taken for missing, as on older kernels or where locked memory is short. For tests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mask(pub(crate) u32);

impl Mask {
    /// From a list of names, with commas.
    pub(crate) fn new(list: &[u8]) -> Mask {
        let names = list.split(|byte| *byte == b',').filter_map(|name| str::from_utf8(name).ok());
        Mask(names.fold(0, |mask, name| mask | bit(name)))
    }

    fn hides(self, name: &str) -> bool {
        self.0 & bit(name) != 0
    }

    pub(super) fn hides_ring(self, entries: u32) -> bool {
        self.hides(match entries {
            256 => "ring256",
            64 => "ring64",
            16 => "ring16",
            _ => "ring4",
        })
    }
}

/// 0: no such name.
fn bit(name: &str) -> u32 {
    let mut names = OPCODES.iter().map(|(name, _)| *name).chain(OTHERS);
    names.position(|known| known == name).map_or(0, |index| 1 << index)
}

/// Whether the engine works on this ring.
pub(super) fn are_met(ring: &IoUring, mask: Mask) -> bool {
    let params = ring.params();
    let nodrop = params.is_feature_nodrop() && !mask.hides("nodrop");
    let ext_arg = params.is_feature_ext_arg() && !mask.hides("ext_arg");
    nodrop && ext_arg && has_opcodes(ring, mask)
}

/// Whether a cancellation may keep quiet about its own success.
pub(super) fn quiet_cancels(ring: &IoUring, mask: Mask) -> bool {
    ring.params().is_feature_skip_cqe_on_success() && !mask.hides("cqe_skip")
}

/// Where a filter forbids the question: kernels with EXT_ARG have all of them.
fn has_opcodes(ring: &IoUring, mask: Mask) -> bool {
    let mut probe = Probe::new();
    let known = ring.submitter().register_probe(&mut probe).is_ok();
    OPCODES.iter().all(|(name, code)| !mask.hides(name) && (!known || probe.is_supported(*code)))
}
