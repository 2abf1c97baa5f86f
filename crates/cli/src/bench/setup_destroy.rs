//! io_setup and io_destroy of an empty context, over and over.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use comfy_table::CellAlignment;
use serde::Serialize;
use uaio::entry;

use super::kernel::{Context, NotAvailable};
use super::sample::{Median, SAMPLES_MIN};
use crate::failure::Failure;
use crate::report::plain_table;
use crate::units::duration;

/// Requests that each context has room for.
const ROOM: u32 = 128;
/// Cycles of one sample of ours; the kernel's one takes longer than all of them.
const ROW: u32 = 100;

/// io_setup(128) and io_destroy of the empty context
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How often each side takes its turn
    #[arg(long, default_value_t = 51, value_parser = parse_pairs)]
    pairs: usize,
    /// Write the result and all samples into FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn parse_pairs(text: &str) -> Result<usize, String> {
    let pairs = text.parse().map_err(|_| "not a number")?;
    if pairs < SAMPLES_MIN { Err(format!("at least {SAMPLES_MIN}, to claim anything")) } else { Ok(pairs) }
}

/// Nanoseconds per cycle.
#[derive(Debug, Default)]
struct Samples {
    kernel: Vec<f64>,
    /// One cycle after the pause that the kernel's makes: caches are cold, the processor has slept.
    first: Vec<f64>,
    /// The mean of the cycles that follow.
    uaio: Vec<f64>,
}

/// What comes out, and the JSON document.
#[derive(Debug, Serialize)]
struct Outcome<'s> {
    job: &'static str,
    unit: &'static str,
    pairs: usize,
    kernel: Option<Median>,
    uaio: Median,
    uaio_after_a_pause: Median,
    /// The kernel's time divided by ours, pair by pair.
    ratio: Option<Median>,
    kernel_not_available: Option<String>,
    samples: [&'s [f64]; 3],
}

/// Measures, prints, and writes the file.
pub fn run(args: &Args) -> Result<i32, Failure> {
    if std::env::var_os("UAIO_ENGINE").is_some_and(|engine| engine == "off") {
        return Err(Failure::plain("UAIO_ENGINE is off: that would be the kernel on both sides"));
    }
    let mut samples = Samples::default();
    let refused = measure(args.pairs, &mut samples)?;
    let outcome = judge(&samples, refused);
    print!("{}", describe(&outcome));
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&outcome).expect("only strings and numbers");
        fs::write(file, text + "\n").map_err(|e| Failure::plain(format!("{}: {e}", file.display())))?;
    }
    Ok(0)
}

fn measure(pairs: usize, samples: &mut Samples) -> Result<Option<NotAvailable>, Failure> {
    // The first call of all makes the library's state, which is not what is measured.
    cycle()?;
    let refused = Context::new(ROOM).err();
    for _ in 0..pairs {
        if refused.is_none() {
            samples.kernel.push(nanoseconds(|| Context::new(ROOM).map(drop)).map_err(Failure::plain)?);
        }
        samples.first.push(nanoseconds(cycle)?);
        samples.uaio.push(nanoseconds(|| (0..ROW).try_for_each(|_| cycle()))? / f64::from(ROW));
    }
    Ok(refused)
}

fn nanoseconds<E>(work: impl Fn() -> Result<(), E>) -> Result<f64, E> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_nanos() as f64)
}

fn cycle() -> Result<(), Failure> {
    let mut context = 0usize;
    // SAFETY: `context` holds 0 and lives across the call.
    let made = unsafe { entry::io_setup(ROOM, &raw mut context) };
    // SAFETY: any number may be given.
    let ended = if made == 0 { unsafe { entry::io_destroy(context) } } else { made };
    if ended == 0 { Ok(()) } else { Err(Failure::plain(format!("uaio's io_setup and io_destroy give {ended}"))) }
}

fn judge(samples: &Samples, refused: Option<NotAvailable>) -> Outcome<'_> {
    let ratios: Vec<f64> = samples.kernel.iter().zip(&samples.uaio).map(|(kernel, ours)| kernel / ours).collect();
    let median = |samples: &[f64]| (!samples.is_empty()).then(|| Median::of(samples));
    Outcome {
        job: "setup-destroy",
        unit: "ns",
        pairs: samples.uaio.len(),
        kernel: median(&samples.kernel),
        uaio: Median::of(&samples.uaio),
        uaio_after_a_pause: Median::of(&samples.first),
        ratio: median(&ratios),
        kernel_not_available: refused.map(|why| why.to_string()),
        samples: [&samples.kernel, &samples.uaio, &samples.first],
    }
}

fn describe(outcome: &Outcome<'_>) -> String {
    let mut table = plain_table();
    table.set_header([&format!("{} pairs", outcome.pairs), "median", "95 % interval"]);
    let rows = [
        ("kernel", outcome.kernel),
        ("uaio", Some(outcome.uaio)),
        ("uaio, after a pause", Some(outcome.uaio_after_a_pause)),
    ];
    for (name, median) in rows {
        let Some(m) = median else { continue };
        table.add_row([name.into(), duration(m.median), format!("{} .. {}", duration(m.low), duration(m.high))]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let verdict = match (&outcome.ratio, &outcome.kernel_not_available) {
        (Some(r), _) => format!("uaio is {:.0} times as fast ({:.0} .. {:.0})", r.median, r.low, r.high),
        (None, why) => why.clone().unwrap_or_default(),
    };
    format!("io_setup({ROOM}) + io_destroy, empty context\n{}\n {verdict}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_kernel_there_is_no_ratio() {
        let samples = Samples { kernel: vec![], uaio: vec![1500.0; 21], first: vec![9e4; 21] };
        let refused = Some(NotAvailable::from_raw(libc::ENOSYS));
        let text = describe(&judge(&samples, refused));
        assert!(text.contains("kernel AIO not available: io_setup gives ENOSYS"), "{text}");
        assert!(text.contains("1.50 us") && !text.contains("times"), "{text}");
    }

    #[test]
    fn with_it_there_is() {
        let samples = Samples { kernel: vec![3e7; 21], uaio: vec![1500.0; 21], first: vec![9e4; 21] };
        let text = describe(&judge(&samples, None));
        assert!(text.contains("uaio is 20000 times as fast (20000 .. 20000)"), "{text}");
    }

    #[test]
    fn too_few_pairs_claim_nothing() {
        assert!(parse_pairs("20").is_err() && parse_pairs("x").is_err());
        assert_eq!(parse_pairs("21"), Ok(21));
    }
}
