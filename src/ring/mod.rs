//! The shared-memory algorithm, pure.
pub mod layout;
pub mod mem;
