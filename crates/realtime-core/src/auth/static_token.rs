//! s
/// Placeholder.
#[derive(Debug)]
pub struct StaticToken;
