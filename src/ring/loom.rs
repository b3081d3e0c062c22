//! The ring under loom: every interleaving of a few roles, up to a number of preemptions, on memory
//! that is stricter than production's.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release --lib loom                           the quick ones
//! RUSTFLAGS="--cfg loom" cargo test --release --lib loom -- --include-ignored      all of them
//! LOOM_MAX_PREEMPTIONS=3 ...                        a larger bound, for all models that are run
//! LOOM_MAX_SECONDS=600 ...                          gives up on one exploration after that time
//! ```
//! Add `-- --nocapture` to see how many executions each model took and at which bound. Without
//! `LOOM_MAX_SECONDS` every search is exhausted; one that was given up prints `NOT EXHAUSTED`.
//!
//! | model | roles | what must hold |
//! |---|---|---|
//! | `l1` | producer, flusher; one-record chunks | a chunk's bytes have one owner at a time across its lives |
//! | `l2` | two producers, flusher that revokes; one chunk | a lease that was taken back is never written |
//! | `l3` | producer killed at every step, another producer, flusher that reaps | acknowledged = in the file |
//! | `l4` | producer, flusher killed at every step, successor | the same, exactly once |
//! | `l5` | producer, a second one that has seen the first one's record, flusher | order of cause and effect |
//! | `l6` | producer, flusher and successor killed at every step, a third | as `l4` |
//! | `l7` | producer of large records, flusher, second producer in want of chunks | as `l1`, for continuations |
//! | `l8` | two owners of a slot one after the other, an observer | who reads ALIVE reads whose |
//!
//! Every role has a thread of its own: loom does not interleave what runs in the model's closure. Each
//! model asserts at its end that the interleaving it is about was met.
#![allow(unsafe_code)]

mod memory;
mod models;
