//! A context cannot end while a scope of it is open.
use uaio::Context;

fn main() {
    let context = Context::new(1).unwrap();
    context.scope(|_| drop(context));
}
