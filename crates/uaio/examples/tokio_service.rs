//! A service that serves the blocks of a file: each line `OFFSET LENGTH` from a client is answered with these bytes.
//!
//! `cargo run --features tokio --example tokio_service -- FILE [ADDRESS]`, and then
//! `printf '0 16\n' | nc 127.0.0.1 7070`

use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use uaio::{Context, Operation};

/// Longest answer, in bytes.
const LONGEST: usize = 1 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, address) = match &args[..] {
        [name] => (name, "127.0.0.1:7070"),
        [name, address] => (name, &address[..]),
        _ => {
            eprintln!("usage: tokio_service FILE [ADDRESS]");
            std::process::exit(2);
        }
    };
    if let Err(why) = listen(name, address).await {
        eprintln!("tokio_service: {why}");
        std::process::exit(1);
    }
}

async fn listen(name: &str, address: &str) -> io::Result<()> {
    let about = |what: &str, why: io::Error| io::Error::new(why.kind(), format!("{what}: {why}"));
    let file = Arc::new(File::open(name).map_err(|why| about(name, why))?);
    let listener = TcpListener::bind(address).await.map_err(|why| about(address, why))?;
    let context = Arc::new(Context::builder().capacity(256).eventfd().name("blocks").build()?);
    uaio::tokio::drive(&context)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (client, from) = listener.accept().await?;
        let (context, file) = (Arc::clone(&context), Arc::clone(&file));
        tokio::spawn(async move {
            if let Err(why) = serve(client, &context, &file).await {
                eprintln!("{from}: {why}");
            }
        });
    }
}

async fn serve(mut client: TcpStream, context: &Context, file: &Arc<File>) -> io::Result<()> {
    let (requests, mut answers) = client.split();
    let mut lines = BufReader::new(requests).lines();
    while let Some(line) = lines.next_line().await? {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(offset)), Some(Ok(len))) = (numbers.next(), numbers.next()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a line is: OFFSET LENGTH"));
        };
        // The answer is shorter than asked for at the end of the file, and beyond `LONGEST`.
        let room = Vec::with_capacity((len as usize).min(LONGEST));
        // A client that goes away drops this future: the read goes on, and its buffer is freed when it ends.
        let (_, bytes) = context.submit(Operation::read(file, room, offset))?.await.ok()?;
        answers.write_all(&bytes).await?;
    }
    Ok(())
}
