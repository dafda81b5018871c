//! What the server says and can't be read: counted, and said in few lines, since a server that says one
//! such thing says many.

use std::fmt::Display;

/// How much of it there was.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(u64);

impl Unreadable {
    /// One more. The log has a line at each doubling of the count.
    pub(crate) fn found(&mut self, error: &impl Display) {
        let Self(count) = self;
        *count += 1;
        if count.is_power_of_two() {
            tracing::warn!(
                target: crate::LOG, %error, count, "a message of the server can't be read",
            );
        }
    }
}
