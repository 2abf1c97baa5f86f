//! A plan as lines that a person can read.

use crate::plan::{Data, Entry, Plan, Req, Step};

/// One line for each step; steps within steps are indented.
pub fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    steps(&plan.steps, "  ", &mut text);
    text
}

fn steps(all: &[Step], indent: &str, text: &mut String) {
    for (i, step) in all.iter().enumerate() {
        text.push_str(&format!("{indent}{}. ", i + 1));
        one(step, indent, text);
    }
}

fn one(step: &Step, indent: &str, text: &mut String) {
    let deeper = format!("{indent}    ");
    match step {
        Step::Submit { ctx, entries, nr } => {
            text.push_str(&format!("io_submit to {ctx:?}{}\n", nr.map_or(String::new(), |n| format!(", nr {n}"))));
            entries.iter().for_each(|entry| text.push_str(&format!("{deeper}{}\n", shown(entry))));
        }
        Step::Thread(inner) => nested("another thread:", inner, &deeper, text),
        Step::Fork(inner) => nested("a forked child:", inner, &deeper, text),
        Step::Waiter { n, count, meanwhile } => {
            nested(&format!("while a thread waits for {count} events of {n}:"), meanwhile, &deeper, text);
        }
        Step::Reap(r) => text.push_str(&format!(
            "io_getevents of {:?}: min {:?}, nr {:?}, {:?}, mask {:?}, into {:?}{}\n",
            r.ctx,
            r.min,
            r.nr,
            r.time,
            r.mask,
            r.into,
            if r.early { ", at once" } else { "" }
        )),
        other => text.push_str(&format!("{other:?}\n")),
    }
}

fn nested(title: &str, inner: &[Step], indent: &str, text: &mut String) {
    text.push_str(title);
    text.push('\n');
    steps(inner, indent, text);
}

fn shown(entry: &Entry) -> String {
    match entry {
        Entry::Req(req) => request(req),
        other => format!("{other:?}"),
    }
}

fn name(op: u16) -> String {
    let names = ["PREAD", "PWRITE", "FSYNC", "FDSYNC", "4", "POLL", "NOOP", "PREADV", "PWRITEV"];
    names.get(op as usize).map_or_else(|| op.to_string(), |name| (*name).to_string())
}

/// Fields that are as usual are left out.
fn request(req: &Req) -> String {
    let mut text = format!("{} of {:?}, ", name(req.op), req.fd);
    text.push_str(&match &req.data {
        Data::At(buf) => format!("buf {buf:?}"),
        other => format!("{other:?}"),
    });
    let mut field = |name: &str, value: String, usual: bool| {
        if !usual {
            text.push_str(&format!(", {name} {value}"));
        }
    };
    field("len", format!("{:?}", req.len.unwrap_or(0)), req.len.is_none());
    field("offset", req.offset.to_string(), req.offset == 0);
    field("rw_flags", format!("{:#x}", req.rw_flags), req.rw_flags == 0);
    field("reserved2", format!("{:#x}", req.reserved2), req.reserved2 == 0);
    field("reqprio", req.prio.to_string(), req.prio == 0);
    field("flags", format!("{:#x}", req.flags), req.flags == 0);
    field("resfd", format!("{:?}", req.resfd), req.resfd.is_none());
    field("key", req.key.to_string(), req.key == 0);
    text
}
