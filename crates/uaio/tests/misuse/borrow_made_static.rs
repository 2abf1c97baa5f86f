//! A borrow cannot be passed off as 'static in a function.
use uaio::{Context, Operation, Ticket};

fn leak<'a>(context: &Context, file: &std::fs::File, buffer: &'a mut [u8]) -> Ticket<&'a mut [u8]> {
    context.submit(Operation::read(file, buffer, 0)).unwrap()
}

fn main() {
    let _ = leak;
}
