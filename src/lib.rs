//! Many processes, one rotating log.
pub mod ring;
