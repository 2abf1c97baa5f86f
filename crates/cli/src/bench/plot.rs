//! A picture of the ratios, for a README: one bar for each side of each row, from the kernel's line.

use std::fmt::Write;

use super::outcome::{Outcome, SideOutcome};

const WIDTH: f64 = 960.0;
/// Where bars begin and end.
const LEFT: f64 = 320.0;
const RIGHT: f64 = 880.0;
const LINE: f64 = 15.0;
const COLOURS: [&str; 5] = ["#1b6ca8", "#3ba272", "#e08e0b", "#8a8f98", "#b0605f"];

/// The picture.
pub fn svg(outcome: &Outcome) -> String {
    let bars = bars(outcome);
    let scale = Scale::of(&bars);
    let height = 70.0 + bars.len() as f64 * LINE;
    let mut text = String::new();
    let _ = write!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">How many times as fast as the kernel's AIO (logarithmic)</text>\n\
         <text x=\"10\" y=\"36\" fill=\"#666\">{}</text>\n",
        escaped(&format!("Linux {}, {} processors, {}", outcome.kernel, outcome.processors, outcome.file))
    );
    for (i, bar) in bars.iter().enumerate() {
        draw(&mut text, bar, 50.0 + i as f64 * LINE, scale);
    }
    axis(&mut text, scale, height);
    text + "</svg>\n"
}

struct Bar<'o> {
    /// Of the row's first bar.
    title: String,
    side: &'o SideOutcome,
    colour: &'static str,
}

fn bars(outcome: &Outcome) -> Vec<Bar<'_>> {
    let rows = outcome.jobs.iter().flat_map(|job| job.rows.iter().map(move |row| (job.job, row)));
    rows.flat_map(|(job, row)| {
        let sides = row.sides.iter().enumerate().filter(|(_, side)| side.times.is_some());
        sides.enumerate().map(move |(nth, (i, side))| Bar {
            title: if nth == 0 { format!("{job}: {}", row.row) } else { String::new() },
            side,
            colour: COLOURS[(i - 1) % COLOURS.len()],
        })
    })
    .collect()
}

/// From ratios to places: decades on both sides of 1, as far as there are bars.
#[derive(Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(bars: &[Bar<'_>]) -> Scale {
        let decades = bars.iter().filter_map(|bar| bar.side.times).flat_map(|m| [m.low.log10(), m.high.log10()]);
        let (low, high) = decades.fold((-0.5f64, 0.5f64), |(low, high), d| (low.min(d), high.max(d)));
        Scale { low, high }
    }

    fn place(self, ratio: f64) -> f64 {
        LEFT + (ratio.log10() - self.low) / (self.high - self.low) * (RIGHT - LEFT)
    }
}

fn draw(text: &mut String, bar: &Bar<'_>, y: f64, scale: Scale) {
    let Some(m) = bar.side.times else { return };
    let (one, to) = (scale.place(1.0), scale.place(m.median));
    let (x, width) = (one.min(to), (to - one).abs());
    let (low, high, middle) = (scale.place(m.low), scale.place(m.high), y + LINE / 2.0 - 1.0);
    let (title, label, colour) = (escaped(&bar.title), escaped(&bar.side.label), bar.colour);
    let digits = if m.median < 10.0 { 2 } else { 0 };
    let base = y + LINE - 4.0;
    let _ = writeln!(
        text,
        "<text x=\"10\" y=\"{base}\">{title}</text>\
         <text x=\"{}\" y=\"{base}\" text-anchor=\"end\" fill=\"#444\">{label}</text>\
         <rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>\
         <path d=\"M{low:.1} {middle}H{high:.1}\" stroke=\"#222\"/>\
         <text x=\"{}\" y=\"{base}\">{:.digits$}x</text>",
        LEFT - 6.0,
        LINE - 3.0,
        RIGHT + 8.0,
        m.median,
    );
}

fn axis(text: &mut String, scale: Scale, height: f64) {
    for decade in scale.low.ceil() as i32..=scale.high.floor() as i32 {
        let ratio = 10f64.powi(decade);
        let (x, colour) = (scale.place(ratio), if decade == 0 { "#000" } else { "#ddd" });
        let bottom = height - 18.0;
        let _ = writeln!(
            text,
            "<path d=\"M{x:.1} 46V{bottom}\" stroke=\"{colour}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{ratio}x</text>",
            height - 5.0
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::job::{Row, Unit};
    use super::super::outcome::tests::series;
    use super::super::outcome::{JobOutcome, RowOutcome};
    use super::super::side::Side;
    use super::*;

    #[test]
    fn a_bar_for_each_ratio() {
        let both = [series(Side::Kernel, 100.0, 1.0), series(Side::Ours("uring"), 150.0, 1.0)];
        let rows = vec![RowOutcome::of(&Row::new("a<b", Unit::PerSecond), &[], &both)];
        let mut outcome = Outcome::empty();
        outcome.jobs = vec![JobOutcome { job: "j", what: "w", rows }];
        let text = svg(&outcome);
        assert!(text.contains("j: a&lt;b") && text.contains(">1.50x<") && text.contains("uaio uring"), "{text}");
        assert_eq!(text.matches("<rect").count(), 2);
    }
}
