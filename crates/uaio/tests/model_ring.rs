//! The ring: every event comes out once, whole, in the order in which it went in, whoever reaps.
#![cfg(any(loom, miri))]

mod model_common;

use model_common::{Arc, explore, thread};
use uaio::model::Context;

/// Room for two events, and one place empty: the fourth goes where the first was.
#[test]
fn an_io_getevents_reader_gets_every_event_once() {
    explore(3, || {
        let context = Arc::new(Context::new(3, 2));
        let producer = {
            let context = context.clone();
            thread::spawn(move || push_what_fits(&context, 4))
        };
        let mut seen = context.take(2);
        seen.extend(context.take(2));
        let pushed = producer.join().unwrap();
        seen.extend(context.take(3));
        assert_eq!(seen, (0..pushed).collect::<Vec<_>>());
        assert!(pushed >= 2);
    });
}

#[test]
fn a_program_that_reaps_by_hand_gets_every_event_once() {
    explore(3, || {
        let context = Arc::new(Context::new(3, 2));
        let producer = {
            let context = context.clone();
            thread::spawn(move || push_what_fits(&context, 3))
        };
        let mut seen: Vec<u64> = (0..3).filter_map(|_| context.reap_by_hand()).collect();
        let pushed = producer.join().unwrap();
        seen.extend(std::iter::from_fn(|| context.reap_by_hand()));
        assert_eq!(seen, (0..pushed).collect::<Vec<_>>());
        assert!(pushed >= 2);
    });
}

#[test]
fn two_readers_share_the_events() {
    explore(2, || {
        let context = Arc::new(Context::new(4, 3));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let context = context.clone();
                thread::spawn(move || context.take(1))
            })
            .collect();
        assert_eq!(push_what_fits(&context, 2), 2);
        let mut seen: Vec<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        seen.extend(context.take(3));
        seen.sort_unstable();
        assert_eq!(seen, [0, 1]);
    });
}

#[test]
fn two_producers_lose_nothing() {
    explore(2, || {
        let context = Arc::new(Context::new(3, 2));
        let other = {
            let context = context.clone();
            thread::spawn(move || {
                assert!(context.reserve());
                context.finish_inline(7);
            })
        };
        assert!(context.reserve());
        context.finish_inline(8);
        other.join().unwrap();
        let mut seen = context.take(3);
        seen.sort_unstable();
        assert_eq!(seen, [7, 8]);
    });
}

/// Requests that complete at once, 0, 1, …, until one is refused; how many were accepted.
fn push_what_fits(context: &Context, most: u64) -> u64 {
    (0..most).find(|data| !context.reserve_and_finish(*data)).unwrap_or(most)
}

trait AtOnce {
    fn reserve_and_finish(&self, data: u64) -> bool;
}

impl AtOnce for Context {
    fn reserve_and_finish(&self, data: u64) -> bool {
        let reserved = self.reserve();
        if reserved {
            self.finish_inline(data);
        }
        reserved
    }
}
