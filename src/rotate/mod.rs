//! When the log is rotated, what its archives are called, and how a rotation survives anything.
//!
//! **Constraints.** Pure: no I/O, no clock, no path; only names inside the log's directory. Exactly
//! one driver runs it, the one that holds the flusher's lock. It holds an open descriptor of the
//! file the journal names, and every write to the log goes through that descriptor.
//!
//! **Algorithm.** [`Policy`] says at which record a file is full. [`Machine`] then orders one
//! [`Action`] after the other, each of them one system call or one journal commit, and is told how
//! each went. It remembers nothing between runs: what a crash leaves is the journal's [`Stage`] and
//! a [`View`] of the directory, and these are all it ever starts from. So there is no second path
//! for recovery; to rotate now is to recover from a crash that came right after the decision.
//!
//! ```text
//! Journal(Rotate) -> Rename ... -> Rename log to log.1 -> Create -> Finish -> Remove -> Done
//!                      |fails            |fails             |fails
//!                      +---- Abandon ----+                  Rename log.1 to log -> Abandon
//! Journal(Truncate) -> Truncate -> Finish -> Done         (no backups are kept)
//! ```
//!
//! **The chain.** `log.1` is the newest archive, and the live log counts as number 0. Every step of
//! the shift is a function of the listing alone: find the smallest free number, move what stands
//! below it there, until number 0 is free. A crash or a failure between two moves just leaves the
//! gap somewhere else, and the next run goes on from it. Only if no number up to `backups` is free
//! does the oldest archive fall off, at most one for each archive that is added: it is renamed to
//! `log.oldest` first and removed last of all, so that no failure costs an archive. (The price: a
//! rotation needs an inode more than there are files afterwards.)
//!
//! **Long chains.** A rename takes some microseconds, so a thousand of them would hold up the drain. If more archives have to be moved than
//! the driver wants moved at once, the log is renamed to `log.newest`, and [`Shift`] moves the others later, a few between two
//! sweeps, while logging goes on: the same moves by the same rule, with `log.newest` as number 0, the last of them to `log.1`. It is no
//! stage of the journal and needs none, for all of it is a function of the listing: whoever comes next goes on. A rotation that comes
//! before it is through makes the rest of its moves first.
//!
//! **If the new file cannot be created** the old one already is `log.1`. Two ways out were weighed:
//! - to go on writing through the open descriptor: no, because a successor would look for the
//!   half-written tail at the log's name, not cut it, and write those records twice; and because an
//!   archive that still grows may be compressed or shipped meanwhile;
//! - to rename `log.1` back, if the log's name is free: yes. It needs no new inode and no space, it
//!   overwrites nothing, it leaves number 1 free so that the next attempt moves nothing else, and
//!   killed half-way it is a state that recovery knows.
//!
//! If that fails too, the outcome is [`Outcome::Held`]: nothing is written, the ring buffers, its
//! policy for a full ring applies, and the run is repeated. A held log can be late, never wrong.
//!
//! | found | done | lost |
//! |---|---|---|
//! | stage ROTATE, the journalled file is at the log's name | the shift goes on from the first gap | nothing |
//! | stage ROTATE, the journalled file is `log.1` or gone | the new file is created | nothing |
//! | stage ROTATE or TRUNCATE, another file is at the name | it is opened, never truncated | nothing |
//! | stage TRUNCATE, the journalled file is at the name | it is truncated (again) | what `backups = 0` asks for |
//! | a stage that the present policy does not want | given up, the file goes on as it is | nothing |
//! | an archive to be moved has disappeared | its number is free | nothing of ours |
//! | a name that must be free is taken | given up, retried from a new listing | nothing |
//! | archives numbered above `backups` | left alone | nothing |
//! | `log.newest`, and any numbers free or not | moved on from the first gap until it is `log.1` | nothing |
//! | a rotation that fails after the oldest gave way | retried; the gap it left is used first; it stays `log.oldest` until then | nothing |
//! | a `log.oldest` that an earlier run left | removed when a rotation has succeeded, or the name is needed | what retention asks for |
//! | log file removed, replaced or moved by someone | a new file, or theirs at its end | nothing of ours |
//!
//! **Invariant:** nothing is ever renamed onto an existing name, and no archive removed, except one that
//! fell off a full chain, and that only when the new file is the log. **Invariant:** only the journalled file is ever truncated, only in stage
//! TRUNCATE. **Invariant:** while the journal carries a stage, no record is written.
//!
//! **Dated names.** The log is renamed once, to a name that the driver found free; nothing is shifted, and removing old
//! archives is not the machine's business. Everything else is the same. [`schedule`] says when, and what the name is.
//!
//! **Direct.** Files have dated names from the beginning. A rotation makes the next one, and that is all: `Journal(Rotate) -> Create ->
//! Finish`, or `Abandon` if it cannot be made, and the old file goes on. Killed in between, the next run makes it.
//!
//! **Names** of both kinds may come from a [`template`]; [`naming`] makes them, and knows those that were made before.
//!
//! **Closed files** are compressed by runs of their own (`src/flush/pack.rs`). [`manifest`] has what is known of them,
//! [`retention`] which of them have to go.
mod chain;
pub mod machine;
pub mod manifest;
pub mod name;
pub mod naming;
pub mod policy;
pub mod retention;
pub mod retry;
pub mod schedule;
pub mod shift;
pub mod template;

pub use machine::{Action, At, Failure, Machine, Outcome, Stage, View};
pub use name::{Member, Standing};
pub use naming::Naming;
pub use policy::{Names, Policy, Scheme, SizeRule};
pub use retry::Backoff;
pub use shift::Shift;

#[cfg(test)]
mod direct_tests;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
