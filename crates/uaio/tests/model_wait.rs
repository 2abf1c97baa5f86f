//! Sleeping in io_getevents: who waits for `min_nr` events wakes when they are there, and when the context goes.
#![cfg(any(loom, miri))]

mod model_common;

use model_common::{Arc, AtomicU32, Ordering, explore, thread};
use uaio::model::Context;

/// Starts `requests` and ends each on a thread of its own.
fn engines(context: &Arc<Context>, requests: u64) -> Vec<thread::JoinHandle<()>> {
    (0..requests)
        .map(|data| {
            assert!(context.reserve());
            let request = context.enslot(data);
            let context = context.clone();
            thread::spawn(move || context.finish(request))
        })
        .collect()
}

fn all(mut events: Vec<u64>) -> Vec<u64> {
    events.sort_unstable();
    events
}

#[test]
fn a_sleeper_gets_as_many_as_it_waits_for() {
    explore(2, || {
        let context = Arc::new(Context::new(4, 3));
        let engines = engines(&context, 2);
        assert_eq!(context.wait(2, 3).map(all), Ok(vec![0, 1]));
        engines.into_iter().for_each(|t| t.join().unwrap());
    });
}

/// The more modest one takes an event; the other goes on until it has two of the rest.
#[test]
fn two_sleepers_that_want_one_and_two_get_three() {
    explore(1, || {
        let context = Arc::new(Context::new(4, 3));
        let modest = {
            let context = context.clone();
            thread::spawn(move || context.wait(1, 1).unwrap())
        };
        let engine = {
            let context = context.clone();
            let requests: Vec<_> = (0..3)
                .map(|data| {
                    assert!(context.reserve());
                    context.enslot(data)
                })
                .collect();
            thread::spawn(move || requests.into_iter().for_each(|r| context.finish(r)))
        };
        let mut seen = context.wait(2, 2).unwrap();
        seen.extend(modest.join().unwrap());
        engine.join().unwrap();
        assert_eq!(all(seen), [0, 1, 2]);
    });
}

#[test]
fn a_sleeper_wakes_when_its_context_is_destroyed() {
    explore(3, || {
        let context = Arc::new(Context::new(3, 2));
        let destroyer = {
            let context = context.clone();
            thread::spawn(move || context.destroy())
        };
        assert!(context.wait(1, 1).is_err());
        assert!(destroyer.join().unwrap());
    });
}

/// An event comes, and the context goes: the sleeper that waits for two has one or none, but wakes.
#[test]
fn an_event_and_a_destroyer_race_for_a_sleeper() {
    explore(2, || {
        let context = Arc::new(Context::new(3, 2));
        let engines = engines(&context, 1);
        let sleeper = {
            let context = context.clone();
            thread::spawn(move || context.wait(2, 2))
        };
        assert!(context.destroy());
        engines.into_iter().for_each(|t| t.join().unwrap());
        assert!(matches!(sleeper.join().unwrap().as_deref(), Err(_) | Ok([0])));
    });
}

/// The second and the third event come only when somebody has taken the first.
#[test]
fn the_more_modest_of_two_sleepers_counts() {
    explore(1, || {
        let context = Arc::new(Context::new(4, 3));
        let sleeper = {
            let context = context.clone();
            thread::spawn(move || context.wait(2, 2).unwrap())
        };
        let engine = {
            let context = context.clone();
            thread::spawn(move || {
                for data in 0..3 {
                    assert!(context.reserve());
                    context.finish_inline(data);
                    while data == 0 && context.in_ring() > 0 {
                        thread::yield_now();
                    }
                }
            })
        };
        let mut seen = context.wait(1, 1).unwrap();
        seen.extend(sleeper.join().unwrap());
        engine.join().unwrap();
        assert_eq!(all(seen), [0, 1, 2]);
    });
}

/// A round of an engine: the events come first, then their eventfds, here one word. Who takes an event finds it told.
fn a_round_is_told(events: u64) {
    explore(2, move || {
        let context = Arc::new(Context::new(4, 3));
        let told = Arc::new(AtomicU32::new(0));
        let requests: Vec<_> = (0..events)
            .map(|data| {
                assert!(context.reserve());
                context.enslot(data)
            })
            .collect();
        let engine = {
            let (context, told) = (context.clone(), told.clone());
            thread::spawn(move || {
                requests.into_iter().for_each(|request| context.finish_quietly(request));
                told.store(1, Ordering::Relaxed);
                context.announce(events as u32);
            })
        };
        assert_eq!(context.wait(1, 1), Ok(vec![0]));
        assert_eq!(told.load(Ordering::Relaxed), 1);
        engine.join().unwrap();
    });
}

#[test]
fn who_takes_an_event_finds_its_eventfd_told() {
    a_round_is_told(1);
}

#[test]
fn who_takes_the_first_of_a_round_finds_its_eventfd_told() {
    a_round_is_told(2);
}
