//! Many processes, one rotating log.
pub mod ring;
pub mod rotate;
