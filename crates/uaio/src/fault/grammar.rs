//! What a script looks like: items, separated by semicolons or line ends.
//!
//! `seed=N`, `reorder [TIME]`, and `TARGET:EFFECT [WHEN]`; a line that begins with # is a comment.

use core::str::FromStr;
use core::time::Duration;

use super::{Effect, Rule, Script, Target, When};
use crate::errno::Errno;

const TARGETS: [(&str, Target); 6] = [
    ("any", Target::Any),
    ("read", Target::Read),
    ("write", Target::Write),
    ("fsync", Target::Fsync),
    ("poll", Target::Poll),
    ("submit", Target::Submit),
];

impl Target {
    pub(super) fn name(self) -> &'static str {
        TARGETS.iter().find(|(_, target)| *target == self).map_or("", |(name, _)| name)
    }
}

/// Reads a script. The message of an error names what is wrong, and what would be right.
impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Script, String> {
        let mut script = Script::default();
        for item in
            text.split([';', '\n']).map(str::trim).filter(|item| !item.is_empty() && !item.starts_with('#'))
        {
            script.read(item).map_err(|why| format!("'{item}': {why}"))?;
        }
        Ok(script)
    }
}

impl Script {
    fn read(&mut self, item: &str) -> Result<(), String> {
        if let Some(seed) = item.strip_prefix("seed=") {
            self.seed = number(seed)?;
        } else if let Some(window) = item.strip_prefix("reorder") {
            self.reorder = if window.is_empty() { Duration::from_millis(1) } else { duration(window.trim())? };
        } else {
            self.rules.push(rule(item)?);
        }
        Ok(())
    }
}

fn rule(item: &str) -> Result<Rule, String> {
    let expected = "expected seed=N, reorder [TIME], or TARGET:EFFECT [WHEN]";
    let (target, rest) = item.split_once(':').ok_or(expected)?;
    let found = TARGETS.iter().find(|(name, _)| *name == target.trim());
    let target = found.ok_or_else(|| format!("'{target}' is no target: {}", names()))?.1;
    let mut words = rest.split_whitespace().peekable();
    let name = words.next().ok_or("an effect is missing: an errno, short, corrupt, or delay TIME")?;
    let effect = match name {
        "short" => Effect::Short(words.next_if(|word| word.parse::<u64>().is_ok()).map(number).transpose()?),
        "corrupt" => Effect::Corrupt,
        "delay" => Effect::Delay(duration(words.next().ok_or("delay wants a time, as 50ms")?)?),
        errno => Effect::Fails(Errno::from_name(errno).ok_or_else(|| unknown_effect(errno))?),
    };
    let when = words.next().map_or(Ok(When::Always), when)?;
    if let Some(more) = words.next() {
        return Err(format!("'{more}' is too much: one condition a rule"));
    }
    fits(target, effect)?;
    Ok(Rule { target, effect, when })
}

fn names() -> String {
    TARGETS.map(|(name, _)| name).join(", ")
}

fn unknown_effect(word: &str) -> String {
    format!("'{word}' is no effect: an errno (EIO, ENOSPC ...), short, corrupt, or delay TIME")
}

/// Whether the effect can be had there.
fn fits(target: Target, effect: Effect) -> Result<(), String> {
    let wrong = match (target, effect) {
        (Target::Submit, Effect::Corrupt | Effect::Delay(_)) => "io_submit itself can be short, or fail",
        (Target::Submit, Effect::Fails(errno)) if errno != Errno::EAGAIN => {
            "io_submit itself fails with EAGAIN alone"
        }
        (Target::Write | Target::Fsync | Target::Poll, Effect::Corrupt) => "only what is read can be corrupted",
        (Target::Fsync | Target::Poll, Effect::Short(_)) => "only reads, writes and io_submit can be short",
        _ => return Ok(()),
    };
    Err(wrong.into())
}

fn when(word: &str) -> Result<When, String> {
    if let Some(percent) = word.strip_suffix('%') {
        let percent: f64 = percent.parse().map_err(|_| format!("'{word}' is no percentage"))?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(format!("'{word}' is not between 0% and 100%"));
        }
        return Ok(When::Chance((percent * 10_000.0) as u32));
    }
    match word.split_once('=') {
        Some(("nth", n)) => Ok(When::Nth(positive(n)?)),
        Some(("every", n)) => Ok(When::Every(positive(n)?)),
        Some(("at", place)) => {
            let (context, submission) = place.split_once('.').ok_or("at wants CONTEXT.SUBMISSION")?;
            Ok(When::At(positive(context)?, positive(submission)?))
        }
        _ => Err(format!("'{word}' is no condition: N%, nth=N, every=N, at=CONTEXT.SUBMISSION")),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("'{text}' is no number"))
}

fn positive(text: &str) -> Result<u64, String> {
    number(text).and_then(|n| if n == 0 { Err("counting begins with 1".into()) } else { Ok(n) })
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let count = number(&text[..digits]).map_err(|_| format!("'{text}' is no time: 50ms, 100us, 2s, 500ns"))?;
    match &text[digits..] {
        "ns" => Ok(Duration::from_nanos(count)),
        "us" => Ok(Duration::from_micros(count)),
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        unit => Err(format!("'{unit}' is no unit of time: ns, us, ms, s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_what_is_wrong() {
        for (script, words) in [
            ("sed=3", "expected seed=N"),
            ("seed=x", "'x' is no number"),
            ("red:EIO", "'red' is no target: any, read, write"),
            ("read:EFOO", "'EFOO' is no effect"),
            ("read:", "an effect is missing"),
            ("read:EIO sometimes", "'sometimes' is no condition"),
            ("read:EIO 101%", "not between"),
            ("read:EIO nth=0", "counting begins with 1"),
            ("read:EIO nth=1 nth=2", "'nth=2' is too much"),
            ("fsync:delay", "delay wants a time"),
            ("fsync:delay 5", "'' is no unit of time"),
            ("fsync:short", "only reads, writes and io_submit"),
            ("write:corrupt", "only what is read"),
            ("submit:EIO", "EAGAIN alone"),
            ("reorder soon", "'soon' is no time"),
        ] {
            let error = script.parse::<Script>().unwrap_err();
            assert!(error.contains(words) && error.contains(script), "{script}: {error}");
        }
    }

    #[test]
    fn scripts_as_the_manual_shows_them() {
        let script = "seed=7; read:EIO nth=3; submit:short 5%; fsync:delay 50ms; reorder";
        let script: Script = script.parse().unwrap();
        assert_eq!((script.seed, script.rules.len(), script.reorder), (7, 3, Duration::from_millis(1)));
        assert_eq!("# nothing\n\n;".parse::<Script>().unwrap(), Script::default());
    }
}
