//! Bytes become a sequence of the six calls: arguments, iocbs, iovecs, writes into the ring, on contexts and files of every
//! kind. AddressSanitizer watches what the library reads of the program's memory: the iocbs, the arrays and the iovecs
//! are heap blocks of exactly their size, and are freed when io_submit has returned.
//!
//! `UAIO_ENGINE` chooses the engine. How to run it: `docs/models.md`.
#![no_main]

mod bytes;
mod places;
mod world;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use world::World;

fuzz_target!(|data: &[u8]| {
    let mut bytes = Bytes::new(data);
    let mut world = World::new();
    while !bytes.is_empty() {
        match bytes.below(8) {
            0 => world.set_up(&mut bytes),
            1 => world.destroy(&mut bytes),
            2..=4 => world.submit(&mut bytes),
            5 => world.collect(&mut bytes),
            6 => world.cancel(&mut bytes),
            _ => world.scribble(&mut bytes),
        }
    }
    world.end();
});
