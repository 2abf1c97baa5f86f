//! How many requests a context takes, and that io_destroy comes after the last touch of an engine.
#![cfg(any(loom, miri))]

mod model_common;

use model_common::{Arc, explore, thread};
use uaio::model::Context;

/// Two submitters, and room for one.
#[test]
fn no_more_requests_than_capacity() {
    explore(3, || {
        let context = Arc::new(Context::new(3, 1));
        let other = {
            let context = context.clone();
            thread::spawn(move || context.reserve())
        };
        let own = context.reserve();
        let other = other.join().unwrap();
        assert!(!(own && other), "both were accepted");
        assert!(own || other, "nobody was accepted");
    });
}

/// One place is taken all the time, by a request and then by its event; the other is free all the time.
#[test]
fn eagain_only_when_full() {
    explore(3, || {
        let context = Arc::new(Context::new(3, 2));
        assert!(context.reserve());
        let request = context.enslot(1);
        let engine = {
            let context = context.clone();
            thread::spawn(move || context.finish(request))
        };
        assert!(context.reserve(), "one of two places was free");
        assert!(!context.reserve(), "both were taken");
        engine.join().unwrap();
        assert_eq!(context.take(2), [1]);
    });
}

/// The event is reaped, and so its place is free: at once, and with a slot.
#[test]
fn who_has_reaped_can_submit() {
    explore(3, || {
        let context = Arc::new(Context::new(2, 1));
        assert!(context.reserve());
        let request = context.enslot(1);
        let engine = {
            let context = context.clone();
            thread::spawn(move || context.finish(request))
        };
        assert_eq!(context.wait(1, 1), Ok(vec![1]));
        assert!(context.reserve(), "the only event was reaped");
        let next = context.enslot(2);
        assert_eq!(next.data(), 2);
        engine.join().unwrap();
        context.finish(next);
        assert_eq!(context.take(1), [2]);
    });
}

/// The memory goes after the engine's last touch of it, and the destroyer does not sleep for ever.
#[test]
fn io_destroy_waits_for_the_engine() {
    explore(2, || {
        let context = Arc::new(Context::new(3, 2));
        let engines: Vec<_> = [1, 2]
            .map(|data| {
                assert!(context.reserve());
                let request = context.enslot(data);
                let context = context.clone();
                thread::spawn(move || context.finish(request))
            })
            .into_iter()
            .collect();
        assert!(context.destroy());
        engines.into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn of_two_destroyers_one_wins() {
    explore(3, || {
        let context = Arc::new(Context::new(3, 2));
        let other = {
            let context = context.clone();
            thread::spawn(move || context.destroy())
        };
        let own = context.destroy();
        assert!(own != other.join().unwrap());
    });
}

/// A buffered write goes on when the reads before it have their events.
#[test]
fn a_write_waits_for_cold_reads() {
    explore(2, || {
        let context = Arc::new(Context::new(4, 3));
        let engines: Vec<_> = [1, 2]
            .map(|data| {
                assert!(context.reserve());
                let request = context.enslot_cold_read(data);
                let context = context.clone();
                thread::spawn(move || context.finish(request))
            })
            .into_iter()
            .collect();
        context.wait_for_cold_reads();
        assert_eq!(context.in_ring(), 2);
        engines.into_iter().for_each(|t| t.join().unwrap());
    });
}
