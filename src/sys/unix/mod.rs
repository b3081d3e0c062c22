//! The contract of [`super`] on Unix. Built and tested on Linux.

#[allow(unsafe_code)]
mod account;
#[allow(unsafe_code)]
mod child;
#[allow(unsafe_code)]
mod descriptor;
pub mod dir;
mod file;
#[allow(unsafe_code)]
mod fork;
mod link;
#[allow(unsafe_code)]
mod lock;
#[allow(unsafe_code)]
mod log_file;
mod make;
#[allow(unsafe_code)]
mod map;
mod object;
mod path;
#[allow(unsafe_code)]
mod priority;
mod process;
#[allow(unsafe_code)]
mod signal;
mod standard;
#[allow(unsafe_code)]
mod wait;
mod watch;

pub use account::{group_id, user_id};
pub use child::{open_for_child, run_child};
pub use fork::Epoch;
pub use link::point;
pub use lock::LockFile;
pub use log_file::LogFile;
pub use make::{can_give, sweep};
pub use map::Mapping;
pub use object::{SegmentObject, segment_dir};
pub use path::{in_real_parent, is_direct, make_private_dir, mark_direct, resolve_path};
pub use priority::give_way;
pub use process::{
    boot_id, is_stopped, monotonic_ns, own_start_time, pid, pid_namespace, process_gone, program_name,
    unix_ns, user, uuid,
};
pub use signal::{
    SizeLimitIsAnError, at_exit, block_signals, explain_bus_errors, may_be_in_a_signal_handler, stop_myself,
};
pub use wait::full_barrier_everywhere;
pub use watch::Watch;

#[cfg(test)]
#[allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod fork_tests;
#[cfg(test)]
#[allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod lock_tests;
#[cfg(test)]
#[allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod log_file_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod make_tests;
#[cfg(test)]
#[allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod map_tests;
#[cfg(test)]
#[allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod process_tests;
#[cfg(test)]
#[allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
pub(crate) mod testing;
