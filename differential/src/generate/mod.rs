//! Plans from seeds. Most of what is asked for is right, so that wrong things meet a busy context.

mod request;

use fastrand::Rng;

use crate::plan::{Bad, Count, Ctx, Mask, Plan, Reap, RingOp, Step, Time, Victim};
use crate::world::fds::{ALL, Fd};
use request::Requests;

/// Steps of the longest sequence.
const STEPS: usize = 26;

/// The plan of a seed; the same for ever, as long as this module stays as it is.
pub fn plan(seed: u64) -> Plan {
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995);
    let mut maker = Maker { requests: Requests::new(&mut rng), rng };
    let count = 4 + maker.rng.usize(..STEPS - 4);
    let mut steps = vec![maker.set_up(0)];
    steps.extend((0..count).map(|_| maker.step(0)));
    Plan { steps }
}

struct Maker {
    rng: Rng,
    requests: Requests,
}

/// One of several, each with its weight.
fn weighted<T: Copy>(rng: &mut Rng, choices: &[(u32, T)]) -> T {
    let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
    let mut at = rng.u32(..total);
    for (weight, value) in choices {
        if at < *weight {
            return *value;
        }
        at -= weight;
    }
    unreachable!("the weights add up to the total")
}

fn bad(rng: &mut Rng) -> Bad {
    let all = [Bad::Null, Bad::Unmapped, Bad::Kernel, Bad::ReadOnly, Bad::HalfMapped];
    all[rng.usize(..all.len())]
}

type Make = fn(&mut Maker, usize) -> Step;

/// What a step is, by weight. The last ones contain steps: not deeper than two.
const KINDS: &[(u32, Make)] = &[
    (40, |m, _| m.submit()),
    (18, |m, _| Step::Reap(m.reap())),
    (5, |m, _| {
        let n = m.rng.u8(..3);
        m.set_up(n)
    }),
    (2, |m, _| m.bad_set_up()),
    (3, |m, _| Step::Destroy(m.ctx())),
    (2, |m, _| Step::SubmitBadArray { ctx: m.ctx(), nr: m.rng.i64(-1..3), at: bad(&mut m.rng) }),
    (2, |m, _| Step::Fill(m.n())),
    (7, |m, _| m.cancel()),
    (8, |m, _| Step::Ring { n: m.n(), op: m.ring() }),
    (4, |m, _| Step::Close(m.any_fd())),
    (4, |m, _| Step::Dup { from: m.any_fd(), onto: m.any_fd() }),
    (3, |m, _| Step::Seek { fd: m.any_fd(), to: m.rng.u16(..9000) }),
    (3, |m, _| Step::Lock { fd: m.any_fd(), start: m.rng.u16(..500), len: m.rng.u16(..500) }),
    (9, |m, _| Step::Feed { fd: m.stream(), len: m.rng.u16(..300) }),
    (3, |_, _| Step::ClobberIocbs),
    (2, |m, _| Step::DropCache(m.any_fd())),
    (1, |m, _| Step::FileSizeLimit(m.rng.u32(10_000..60_000))),
    (3, |_, _| Step::Check),
    (3, |m, depth| Step::Thread(m.inner(depth))),
    (2, |m, depth| Step::Fork(m.inner(depth))),
    (4, |m, depth| Step::Waiter { n: m.n(), count: m.rng.u8(1..5), meanwhile: m.inner(depth + 1) }),
];

impl Maker {
    fn step(&mut self, depth: usize) -> Step {
        let kinds = if depth < 2 { KINDS } else { &KINDS[..KINDS.len() - 3] };
        weighted(&mut self.rng, kinds)(self, depth)
    }

    fn inner(&mut self, depth: usize) -> Vec<Step> {
        let count = self.rng.usize(1..5);
        (0..count).map(|_| self.step(depth + 1)).collect()
    }

    fn n(&mut self) -> u8 {
        weighted(&mut self.rng, &[(7, 0), (3, 1), (1, 2)])
    }

    fn ctx(&mut self) -> Ctx {
        if self.rng.u32(..20) > 0 {
            return Ctx::N(self.n());
        }
        let wrong = [Ctx::Zero, Ctx::One, Ctx::MinusOne, Ctx::Inside, Ctx::Elsewhere, Ctx::Unmapped];
        wrong[self.rng.usize(..wrong.len())]
    }

    fn any_fd(&mut self) -> Fd {
        if self.rng.bool() { self.requests.usual(&mut self.rng) } else { ALL[self.rng.usize(..ALL.len())] }
    }

    fn stream(&mut self) -> Fd {
        let usual = self.requests.usual(&mut self.rng);
        let streams: Vec<Fd> = ALL.iter().copied().filter(|fd| fd.stream()).collect();
        if usual.stream() { usual } else { streams[self.rng.usize(..streams.len())] }
    }

    fn set_up(&mut self, n: u8) -> Step {
        let odd = [0, 65_537, 70_000, 4_194_304, 4_194_305, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX];
        let usual = [1, 1, 4, 16, 32, 33, 63, 64, 100, 127, 128, 129, 256, 300, 500];
        let nr_events = if self.rng.u32(..12) == 0 {
            odd[self.rng.usize(..odd.len())]
        } else {
            usual[self.rng.usize(..usual.len())]
        };
        Step::Setup { n, nr_events }
    }

    fn bad_set_up(&mut self) -> Step {
        let at = self.rng.bool().then(|| bad(&mut self.rng));
        Step::BadSetup { nr_events: self.rng.u32(0..3), at }
    }

    fn submit(&mut self) -> Step {
        let entries = self.requests.batch(&mut self.rng);
        let nr = match self.rng.u32(..25) {
            0 => Some(self.rng.i64(-2..10)),
            1 => Some([i64::MAX, i64::MIN, 1 << 32, entries.len() as i64 + 1][self.rng.usize(..4)]),
            _ => None,
        };
        Step::Submit { ctx: self.ctx(), entries, nr }
    }

    fn reap(&mut self) -> Reap {
        let rng = &mut self.rng;
        let early = rng.u32(..5) == 0;
        let usual = [(5, Count::There(0)), (3, Count::Exactly(0)), (2, Count::Exactly(1)), (1, Count::There(1))];
        let odd =
            [Count::Exactly(-1), Count::Exactly(i64::MIN), Count::There(3), Count::Exactly(500), Count::There(-1)];
        let count =
            |rng: &mut Rng| if rng.u32(..10) == 0 { odd[rng.usize(..odd.len())] } else { weighted(rng, &usual) };
        let min = count(rng);
        let nr =
            weighted(rng, &[(4, Count::Exactly(500)), (2, Count::There(0)), (2, Count::Exactly(2)), (1, min)]);
        let nr = if rng.u32(..15) == 0 { count(rng) } else { nr };
        let time = Maker::time(rng);
        let mask = Maker::mask(rng);
        let into = (rng.u32(..12) == 0).then(|| bad(rng));
        let (into, mask) = if early { (None, Mask::Without) } else { (into, mask) };
        Reap { ctx: self.ctx(), min, nr, time, mask, into, early }
    }

    fn time(rng: &mut Rng) -> Time {
        match rng.u32(..16) {
            0..6 => Time::Null,
            6..9 => Time::Of(0, 0),
            9 => Time::Of(0, 200_000),
            10 => Time::Of(100, 0),
            11 => Time::Of(-1, 1_000_100_000),
            12 => Time::Of(-1, 0),
            13 => Time::Of(i64::MAX, i64::MAX),
            14 => Time::Of(0, -5),
            _ => Time::Bad(bad(rng)),
        }
    }

    fn mask(rng: &mut Rng) -> Mask {
        match rng.u32(..24) {
            0 => Mask::Null,
            1 => Mask::NoMask,
            2 => Mask::Empty,
            3 => Mask::WrongSize,
            4 => Mask::BadSet(bad(rng)),
            5 => Mask::BadMask(bad(rng)),
            6 => Mask::LetsPendingThrough,
            _ => Mask::Without,
        }
    }

    fn cancel(&mut self) -> Step {
        let which = self.rng.u8(..4);
        let victim = match self.rng.u32(..10) {
            0..5 => Victim::Waiting(which),
            5 => Victim::CopyOfWaiting(which),
            6 => Victim::KeyChanged(which),
            7..9 => Victim::Place(self.rng.u8(..40)),
            _ => Victim::Bad(bad(&mut self.rng)),
        };
        Step::Cancel { ctx: self.ctx(), victim }
    }

    fn ring(&mut self) -> RingOp {
        let op = |weight, op| (weight, op);
        let all = [
            op(4, RingOp::TakeByHand(1)),
            op(4, RingOp::TakeByHand(200)),
            op(2, RingOp::HeadOutOfRange),
            op(2, RingOp::ChangeId),
            op(2, RingOp::ChangeNrAndMagic),
            op(2, RingOp::ReadOnly),
            op(2, RingOp::NoAccess),
            op(7, RingOp::Restore),
            op(1, RingOp::Unmap),
            op(1, RingOp::MapOver),
            op(3, RingOp::Move),
            op(2, RingOp::DontNeed),
        ];
        weighted(&mut self.rng, &all)
    }
}
