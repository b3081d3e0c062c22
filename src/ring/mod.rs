//! The shared-memory algorithm, pure: no system call, no clock, no path.
pub mod append;
mod commit;
pub mod fault;
#[cfg(any(test, fuzzing))]
pub mod hostile;
pub mod journal;
pub mod layout;
pub mod look;
pub mod mem;
pub mod model;
pub mod note;
pub mod numbers;
pub mod reclaim;
pub mod runs;
pub mod sweep;

#[cfg(all(test, loom))]
#[allow(clippy::unwrap_used)]
mod loom;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
