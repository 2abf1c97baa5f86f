//! One side's process: it gets ready, and takes one sample each time it is told to.

use std::io::{self, BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ground::Ground;
use super::job::{Job, Reading, World};
use super::side::Side;
use crate::env::DEFAULT_MAX_NR;
use crate::failure::Failure;
use crate::place;

/// No sample takes so long unless something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process is told when it starts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    pub job: String,
    pub row: usize,
    pub side: String,
    pub ground: Ground,
    pub slice: f64,
}

/// What it answers: first that it is ready, then its samples.
type Answer = Result<Reading, String>;

/// Who takes one sample each time.
pub trait Turn {
    fn take(&mut self) -> Answer;
}

/// The process of one side, as the one who measures sees it.
#[derive(Debug)]
pub struct Turns {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Turns {
    /// Starts the process, `preloaded` as [`super::job::Row::preloaded`], and waits until it is ready.
    pub fn start(side: Side, task: &Task, preloaded: bool) -> Result<Turns, String> {
        let mut command = Command::new("/proc/self/exe");
        let text = serde_json::to_string(task).expect("only strings and numbers");
        command.args(["bench", "--task", &text]).env_remove("UAIO_STATS").stdin(Stdio::piped());
        if let Side::Ours(engine) = side {
            command.env("UAIO_ENGINE", engine);
        }
        if preloaded {
            command.env("LD_PRELOAD", library(side)?);
        }
        if std::env::var_os("UAIO_MAX_NR").is_none() {
            command.env("UAIO_MAX_NR", DEFAULT_MAX_NR.to_string());
        }
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        let answers = lines_of(BufReader::new(child.stdout.take().expect("it is piped")).lines());
        let mut turns = Turns { orders: child.stdin.take(), child, answers };
        turns.answer()?;
        Ok(turns)
    }

    fn answer(&mut self) -> Answer {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(line) => serde_json::from_str(&line).map_err(|e| e.to_string())?,
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                Err(format!("no answer in {} s", PATIENCE.as_secs()))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(self.child.wait().map_or_else(|e| e.to_string(), |status| format!("its process: {status}")))
            }
        }
    }
}

impl Turn for Turns {
    fn take(&mut self) -> Answer {
        let orders = self.orders.as_mut().expect("it is piped");
        orders.write_all(b"\n").map_err(|e| format!("its process has ended: {e}"))?;
        self.answer()
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        // It ends when there are no more orders.
        drop(self.orders.take());
        while self.answers.recv_timeout(PATIENCE).is_ok() {}
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What LD_PRELOAD names for `side`. Empty, and not unset: to an environment without it uaio adds its own.
fn library(side: Side) -> Result<PathBuf, String> {
    if side.is_ours() { place::preload().map_err(|why| why.message) } else { Ok(PathBuf::new()) }
}

fn lines_of(lines: Lines<impl BufRead + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

/// The process's whole life.
pub fn serve(task: &str, jobs: &[&'static dyn Job]) -> Result<i32, Failure> {
    let task: Task = serde_json::from_str(task).map_err(Failure::plain)?;
    let job = jobs.iter().find(|job| job.name() == task.job).ok_or_else(|| Failure::plain("no such job"))?;
    let side = Side::parse(&task.side).map_err(Failure::plain)?;
    let world = World { side, ground: task.ground, slice: task.slice };
    let mut sampler = match job.setup(task.row, &world) {
        Ok(sampler) => sampler,
        Err(why) => return Ok(reply(&Err(why.message))),
    };
    reply(&Ok(Reading::default()));
    for _ in io::stdin().lines().map_while(Result::ok) {
        let answer = sampler.sample().map_err(|why| why.message);
        if reply(&answer) != 0 || answer.is_err() {
            // It may have requests in flight, and their buffers must stay.
            std::mem::forget(sampler);
            return Ok(1);
        }
    }
    Ok(0)
}

fn reply(answer: &Answer) -> i32 {
    let text = serde_json::to_string(answer).expect("only strings and numbers");
    i32::from(writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()).is_err())
}
