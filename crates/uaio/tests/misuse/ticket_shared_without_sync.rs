//! A ticket is as Send and Sync as the buffer that it gives back.
use uaio::Ticket;

fn needs_sync<T: Sync>() {}

fn main() {
    needs_sync::<Ticket<std::cell::RefCell<Vec<u8>>>>();
}
