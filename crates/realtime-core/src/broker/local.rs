//! l
/// Placeholder.
#[derive(Debug)]
pub struct LocalBroker;
