//! The two locks: nobody is inside with somebody else, nobody sleeps for ever, and the holder itself is told.
#![cfg(any(loom, miri))]

mod model_common;

use model_common::{Arc, explore, thread};
use uaio::model::{Exclusive, Quiet};

#[test]
fn an_owner_lock_has_one_owner_and_wakes_the_next() {
    explore(3, || {
        let lock = Arc::new(Exclusive::new());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || lock.add())
            })
            .collect();
        let mut seen = vec![lock.add()];
        seen.extend(others.into_iter().map(|t| t.join().unwrap()));
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3]);
    });
}

#[test]
fn a_quiet_lock_has_one_owner_and_wakes_the_next() {
    explore(3, || {
        let lock = Arc::new(Quiet::new());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || lock.add())
            })
            .collect();
        let mut seen = vec![lock.add()];
        seen.extend(others.into_iter().map(|t| t.join().unwrap()));
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3]);
    });
}
