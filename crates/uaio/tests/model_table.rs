//! The table: who finds a context by its address is inside that context, until it leaves.
#![cfg(any(loom, miri))]

mod model_common;

use model_common::{Arc, explore, thread};
use uaio::model::Table;

/// While one looks up, another destroys and sets up again at the same place and index.
#[test]
fn a_lookup_gets_a_live_context_or_nothing() {
    explore(3, || {
        let table = Arc::new(Table::new());
        let address = table.set_up();
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                assert!(table.destroy(address));
                assert_eq!(table.set_up(), address);
            })
        };
        if let Some(inside) = table.enter(address) {
            assert_eq!(inside.address(), address);
        }
        other.join().unwrap();
        assert!(table.enter(address).is_some());
        assert!(table.destroy(address));
        assert_eq!(table.nr(), 0);
    });
}

/// Two contexts whose search begins at the same place: the removal of the first must not hide the second.
#[test]
fn a_neighbour_is_found_all_the_time() {
    explore(3, || {
        let table = Arc::new(Table::new());
        let (first, second) = (table.set_up(), table.set_up());
        let other = {
            let table = table.clone();
            thread::spawn(move || assert!(table.destroy(first)))
        };
        assert_eq!(table.enter(second).expect("it is alive").address(), second);
        other.join().unwrap();
        assert!(table.enter(first).is_none());
        assert!(table.destroy(second));
    });
}

/// A request is with an engine: the index and the memory are not used again before it has ended.
#[test]
fn memory_is_used_again_after_the_engine() {
    explore(3, || {
        let table = Arc::new(Table::new());
        let address = table.set_up();
        let request = table.enter(address).unwrap().submit(1);
        let engine = thread::spawn(move || request.finish());
        assert!(table.destroy(address));
        let again = table.set_up();
        assert_eq!(again, address);
        engine.join().unwrap();
        assert!(table.destroy(again));
    });
}

#[test]
fn of_two_destroyers_one_wins() {
    explore(3, || {
        let table = Arc::new(Table::new());
        let address = table.set_up();
        let other = {
            let table = table.clone();
            thread::spawn(move || table.destroy(address))
        };
        let own = table.destroy(address);
        assert!(own != other.join().unwrap());
        assert_eq!(table.nr(), 0);
    });
}

/// The context under a sleeper becomes another one, which has an event: that is not the sleeper's.
#[test]
fn a_sleeper_tells_its_context_from_the_next() {
    explore(2, || {
        let table = Arc::new(Table::new());
        let address = table.set_up();
        let inside = table.enter(address).unwrap();
        let sleeper = {
            let table = table.clone();
            thread::spawn(move || inside.wait(&table))
        };
        assert!(table.destroy(address));
        // Elsewhere, if the sleeper is just looking what has become of its context.
        let next = table.set_up();
        table.enter(next).unwrap().submit(9).finish();
        assert_eq!(table.look(next), Ok(vec![9]));
        assert!(sleeper.join().unwrap().is_err());
        assert!(table.destroy(next));
    });
}

/// An address that another thread has only just got, and handed on without any order: in order, or nothing.
#[test]
fn a_new_context_is_found_whole_or_not_at_all() {
    explore(3, || {
        let table = Arc::new(Table::new());
        let other = {
            let table = table.clone();
            thread::spawn(move || table.set_up())
        };
        if let Some(inside) = table.enter(Table::FIRST) {
            assert_eq!(inside.address(), Table::FIRST);
        }
        assert_eq!(other.join().unwrap(), Table::FIRST);
        assert!(table.destroy(Table::FIRST));
    });
}
