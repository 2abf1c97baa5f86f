//! The jobs, one file each, in the order in which they run.

mod contexts_alive;
mod destroy;
mod exit;
mod setup_destroy;

use super::job::Job;

/// All jobs.
pub const ALL: &[&'static dyn Job] =
    &[&setup_destroy::SetupDestroy, &destroy::Destroy, &contexts_alive::ContextsAlive, &exit::Exit];
