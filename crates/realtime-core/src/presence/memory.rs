//! m
/// Placeholder.
#[derive(Debug)]
pub struct MemoryPresence;
