//! Slots: a slot has one request at a time, whole, and a cancellation hits the request that it was meant for.
#![cfg(any(loom, miri))]

mod model_common;

use model_common::{Arc, explore, thread};
use uaio::model::Stack;

#[test]
fn a_slot_has_one_request_at_a_time() {
    explore(3, || {
        let stack = Arc::new(Stack::new(2));
        let lives = |stack: &Stack, data: u64| {
            for data in [data, data + 1] {
                let request = stack.take(data);
                assert_eq!(request.data(), data);
                stack.give_back(request);
            }
        };
        let other = {
            let stack = stack.clone();
            thread::spawn(move || lives(&stack, 20))
        };
        lives(&stack, 10);
        other.join().unwrap();
    });
}

/// Two slots move while a third thread is in the middle of taking one: the change count tells it.
#[test]
fn a_slot_that_came_back_is_not_taken_for_one_that_stayed() {
    explore(3, || {
        let stack = Arc::new(Stack::new(3));
        let (a, b) = (stack.take(1), stack.take(2));
        stack.give_back(b);
        stack.give_back(a);
        let other = {
            let stack = stack.clone();
            thread::spawn(move || {
                let (a, b) = (stack.take(21), stack.take(22));
                stack.give_back(a);
                assert_eq!(b.data(), 22);
                let again = stack.take(23);
                assert_eq!((b.data(), again.data()), (22, 23));
            })
        };
        let own = stack.take(11);
        assert_eq!(own.data(), 11);
        other.join().unwrap();
        assert_eq!(own.data(), 11);
    });
}

#[test]
fn every_parked_request_is_handed_out_once() {
    explore(3, || {
        let stack = Arc::new(Stack::new(2));
        let others: Vec<_> = [1, 2]
            .map(|data| {
                let stack = stack.clone();
                thread::spawn(move || {
                    stack.park(stack.take(data));
                    stack.unpark().iter().map(|r| r.data()).collect::<Vec<_>>()
                })
            })
            .into_iter()
            .collect();
        let mut seen: Vec<_> = others.into_iter().flat_map(|t| t.join().unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    });
}

#[test]
fn a_cancellation_hits_only_the_request_that_was_seen() {
    explore(3, || {
        let stack = Arc::new(Stack::new(1));
        let first = stack.take(1);
        first.set_taken();
        let canceller = thread::spawn(move || {
            let word = first.look();
            (word >> 2, first.mark_cancelled(word))
        });
        stack.give_back(first);
        let second = stack.take(2);
        second.set_taken();
        let hit = second.is_cancelled(2);
        let (seen, marked) = canceller.join().unwrap();
        assert!(!hit || (seen == 2 && marked), "request {seen} was meant");
        assert!(second.data() == 2);
    });
}
