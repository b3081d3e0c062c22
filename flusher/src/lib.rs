//! What the two programs share: `crlog-flusher`, the sidecar, and `crlog`, the tool.
//!
//! Only arguments, signals, exit codes, and words for people; everything that a log does is in the
//! library `crlog`, so that any process can do it.
//!
//! | module | what |
//! |---|---|
//! | [`console`] | the only place that prints; exit statuses |
//! | [`tool`] | what the two programs run |
//! | [`units`], [`args`] | what a person types, and the options of a log made of it |
//! | [`config`] | the same in a file and in the environment; **the one list of what can be configured** |
//! | [`paths`] | names of files |
//! | [`signals`] | signals turned into calls |
//! | [`sidecar`] | `crlog-flusher` |
//! | [`append`] | records of others go into a log |
//! | [`pipe`], [`lines`] | `crlog pipe`: standard input, line by line |
//! | [`zmq_pull`] | `crlog zmq-pull`: messages of ZeroMQ PUSH sockets |
//! | [`stat`] | `crlog stat` |
//! | [`tail`] | `crlog tail` |
//! | [`set`] | `crlog set` |
//! | [`rotate`] | `crlog rotate` |
//! | [`path`] | `crlog path` |
//! | [`doctor`] | `crlog doctor` |
//! | [`recover`] | `crlog recover` |
//! | [`retention`] | `crlog retention` |
//! | [`soak`] | rounds of [`stress`] with every fault there is, for hours |
//! | [`verify`] | `crlog verify` |
//! | [`stress`], [`demo`] | real processes that are killed and stopped, and the check of what they wrote |

pub mod append;
pub mod args;
pub mod config;
pub mod console;
pub mod demo;
pub mod doctor;
pub mod lines;
pub mod path;
pub mod paths;
pub mod pipe;
pub mod recover;
pub mod retention;
pub mod rotate;
pub mod set;
pub mod sidecar;
pub mod signals;
pub mod soak;
pub mod stat;
pub mod stress;
pub mod tail;
pub mod tool;
pub mod units;
pub mod verify;
pub mod zmq_pull;
