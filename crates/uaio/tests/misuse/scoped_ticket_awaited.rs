//! No borrowed async: a scope's ticket is no future.
use uaio::{Context, Operation};

async fn read(context: &Context, file: &std::fs::File, buffer: &mut [u8]) {
    context.scope(|scope| async move {
        scope.submit(Operation::read(file, buffer, 0)).unwrap().await;
    });
}

fn main() {
    let _ = read;
}
