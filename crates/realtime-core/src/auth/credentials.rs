//! c
/// Placeholder.
#[derive(Debug)]
pub struct Credentials;
/// Placeholder.
#[derive(Debug)]
pub struct Token;
