//! The two programs as their users meet them: real processes, exact exit statuses.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;
mod config;
mod direct;
mod doctor;
mod pipe;
mod recover;
mod refusals;
mod retention;
mod retention_applied;
mod rotate;
mod runs;
mod set;
mod sidecar;
mod stat;
mod tail;
mod test_runner;
mod verify;
mod zmq_pull;
