//! A short run on every engine, with fixed seeds. The long one is the command's: see README.md.

use std::path::PathBuf;

use uaio_differential::calls::Engine;
use uaio_differential::run::{Options, is_possible, report, run};

fn sequences(engine: Engine) {
    let dir = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
    if let Err(why) = is_possible(engine, &dir) {
        println!("{engine}: cannot be compared here: {why}");
        return;
    }
    let options = Options {
        engine,
        seed: 1,
        count: 300,
        jobs: 12,
        limit: None,
        dir,
        progress: false,
        failures: 1,
        shrinks: true,
    };
    let summary = run(&options);
    let reports: Vec<String> = summary.failures.iter().map(|f| report(f, engine)).collect();
    assert!(reports.is_empty(), "{}", reports.join("\n"));
}

/// One test: the engines one after the other, for each keeps both CPUs busy.
#[test]
fn no_sequence_differs() {
    [Engine::Auto, Engine::Inline, Engine::Uring, Engine::Threads, Engine::Kernel, Engine::Scripted]
        .into_iter()
        .for_each(sequences);
}
