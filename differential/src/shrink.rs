//! A shorter plan that still differs: without steps, then without entries, then with plain fields.

use crate::plan::{Entry, Plan, Req, Step};
use crate::run::{Bench, Failure};

/// Tries of one failure; a try takes some tens of milliseconds.
const TRIES: u32 = 400;
/// A plan is run so often before it is said not to differ again.
const REPEATS: u32 = 3;

struct Shrinker<'a> {
    bench: &'a mut Bench,
    left: u32,
}

/// Tries the failure again, and shrinks it when it differs each time.
pub fn shrink(bench: &mut Bench, mut failure: Failure) -> Failure {
    let again = (0..REPEATS).filter(|_| bench.difference(&failure.plan).is_some()).count() as u32;
    if again < REPEATS {
        failure.again = format!(", which differed in {again} of {REPEATS} further tries and is not shrunk");
        return failure;
    }
    let mut shrinker = Shrinker { bench, left: TRIES };
    shrinker.shorten(&mut failure.plan);
    failure.again = ", shrunk".into();
    if let Some(difference) = bench.difference(&failure.plan) {
        failure.difference = difference;
    }
    failure
}

impl Shrinker<'_> {
    fn differs(&mut self, plan: &Plan) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.bench.difference(plan).is_some()
    }

    fn shorten(&mut self, plan: &mut Plan) {
        let mut chunk = plan.steps.len();
        while chunk > 0 {
            self.remove_chunks(plan, chunk);
            chunk /= 2;
        }
        loop {
            let better = variants(plan).into_iter().find(|simpler| self.differs(simpler));
            let Some(better) = better else { return };
            *plan = better;
        }
    }

    fn remove_chunks(&mut self, plan: &mut Plan, chunk: usize) {
        let mut at = 0;
        while at < plan.steps.len() {
            let mut shorter = plan.clone();
            shorter.steps.drain(at..(at + chunk).min(plan.steps.len()));
            if self.differs(&shorter) {
                *plan = shorter;
            } else {
                at += chunk;
            }
        }
    }
}

/// Plans that are simpler in one place.
fn variants(plan: &Plan) -> Vec<Plan> {
    in_steps(&plan.steps).into_iter().map(|steps| Plan { steps }).collect()
}

fn in_steps(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut all = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        for replacement in of_step(step) {
            let mut simpler = steps.to_vec();
            simpler.splice(i..=i, replacement);
            all.push(simpler);
        }
    }
    all
}

/// What a step can be replaced with.
fn of_step(step: &Step) -> Vec<Vec<Step>> {
    let nested = |inner: &Vec<Step>, make: &dyn Fn(Vec<Step>) -> Step| {
        let mut all = vec![vec![], inner.clone()];
        all.extend((0..inner.len()).map(|i| {
            let mut fewer = inner.clone();
            fewer.remove(i);
            vec![make(fewer)]
        }));
        all.extend(in_steps(inner).into_iter().map(|simpler| vec![make(simpler)]));
        all
    };
    match step {
        Step::Thread(inner) => nested(inner, &Step::Thread),
        Step::Fork(inner) => nested(inner, &Step::Fork),
        Step::Waiter { n, count, meanwhile } => {
            nested(meanwhile, &|meanwhile| Step::Waiter { n: *n, count: *count, meanwhile })
        }
        Step::Submit { ctx, entries, nr } => {
            let make = |entries| vec![Step::Submit { ctx: *ctx, entries, nr: *nr }];
            let mut all: Vec<Vec<Step>> = vec![vec![]];
            all.extend(of_entries(entries).into_iter().map(make));
            all
        }
        _ => vec![vec![]],
    }
}

fn of_entries(entries: &[Entry]) -> Vec<Vec<Entry>> {
    let mut all = Vec::new();
    for i in 0..entries.len() {
        if entries.len() > 1 {
            let mut fewer = entries.to_vec();
            fewer.remove(i);
            all.push(fewer);
        }
        let Entry::Req(req) = &entries[i] else { continue };
        for simpler in of_request(req) {
            let mut changed = entries.to_vec();
            changed[i] = Entry::Req(simpler);
            all.push(changed);
        }
    }
    all
}

/// The request with one field as usual.
fn of_request(req: &Req) -> Vec<Req> {
    let all = [
        Req { rw_flags: 0, ..req.clone() },
        Req { reserved2: 0, ..req.clone() },
        Req { prio: 0, ..req.clone() },
        Req { flags: 0, ..req.clone() },
        Req { resfd: None, ..req.clone() },
        Req { key: 0, ..req.clone() },
        Req { offset: 0, ..req.clone() },
    ];
    all.into_iter().filter(|simpler| simpler != req).collect()
}
