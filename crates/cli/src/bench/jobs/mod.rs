//! The jobs, one file each, in the order in which they run.

mod buffered_read;
mod buffered_write;
mod contexts_alive;
mod destroy;
mod direct_io;
mod event_loop;
mod exit;
mod fsync;
mod many_contexts;
mod memory;
mod other_call;
mod poll;
mod setup_destroy;
mod submit_latency;
mod threads;
mod zero_read;

use super::job::Job;

/// All jobs.
pub const ALL: &[&'static dyn Job] = &[
    &zero_read::ZeroRead,
    &direct_io::DirectRead,
    &direct_io::DirectWrite,
    &event_loop::EventLoop,
    &many_contexts::ManyContexts,
    &buffered_read::WarmRead,
    &buffered_read::ColdRead,
    &submit_latency::SubmitLatency,
    &buffered_write::BufferedWrite,
    &fsync::Fsync,
    &poll::Poll,
    &threads::Threads,
    &setup_destroy::SetupDestroy,
    &destroy::Destroy,
    &contexts_alive::ContextsAlive,
    &exit::Exit,
    &other_call::OtherCall,
    &memory::Memory,
];
