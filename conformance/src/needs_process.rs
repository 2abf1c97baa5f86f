//! Cases that need a process of their own: with `--no-fork` they do not apply.

use glob::Pattern;

const FORKS: &str = "it forks, or its process ends";
const SIGNALS: &str = "its signals and their handlers are those of a process";
const LIMITS: &str = "it gives up limits or rights of its process";
const FRESH: &str = "it tells what a fresh process has";

/// Names, as globs, and why.
const NEEDS: &[(&str, &str)] = &[
    ("exit/*", FORKS),
    ("fork/*", FORKS),
    ("signals/*", SIGNALS),
    ("*_survive_*", FORKS),
    ("life/a_forked_child_*", FORKS),
    ("life/a_vfork_child_*", FORKS),
    ("libaio/a_forked_child_*", FORKS),
    ("libaio/io_queue_run_without_callback_crashes", FORKS),
    ("poll/a_child_that_ends_fires", FORKS),
    ("error/sigpipe_ends_*", FORKS),
    ("*_sigxfsz", LIMITS),
    ("*/*file_size_limit*", LIMITS),
    ("*/no_room_for_*_enomem", LIMITS),
    ("*/no_memory_for_*_enomem", LIMITS),
    ("io_setup/a_forced_engine_*", LIMITS),
    ("rw/realtime_priority_needs_a_privilege", LIMITS),
    ("manual/io_submit_has_more_errors", LIMITS),
    ("manual/io_getevents_is_eintr_*", SIGNALS),
    ("destroy/signals_*", SIGNALS),
    ("resfd/a_storm_of_signals_*", SIGNALS),
    ("stream/a_signal_*", SIGNALS),
    ("stream/*_with_a_signal", SIGNALS),
    ("io_setup/lowest_free_index_*", FRESH),
    ("io_setup/ring_header_*", FRESH),
    ("io_setup/*quota*", FRESH),
    ("io_setup/*_share*", FRESH),
    ("abi/a_context_is_the_address_*", FRESH),
    ("lookup/*", FRESH),
    ("ring/*moved_*", FRESH),
    ("ring/a_stranger_in_its_place_*", FRESH),
    ("ring/a_copy_of_it_*", FRESH),
    ("ring/another_id_is_einval_*", FRESH),
    ("self_test/leaves_a_child", FORKS),
];

/// Why the case of this name needs one, if it does.
pub fn needs_process(name: &str) -> Option<&'static str> {
    let fits = |glob: &str| Pattern::new(glob).expect("the globs are constant").matches(name);
    NEEDS.iter().find(|(glob, _)| fits(glob)).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cases, self_test};

    #[test]
    fn every_glob_fits_a_case() {
        let names: Vec<&str> = cases::all().iter().chain(&self_test::cases()).map(|case| case.name).collect();
        let fits = |glob: &str| names.iter().any(|name| Pattern::new(glob).unwrap().matches(name));
        let idle: Vec<&str> = NEEDS.iter().map(|(glob, _)| *glob).filter(|glob| !fits(glob)).collect();
        assert!(idle.is_empty(), "{idle:?}");
    }
}
