//! What a peer may send, so that no peer decides how much memory it costs.

/// What a peer may send.
///
/// ```
/// use realtime_websocket::Limits;
///
/// let limits = Limits::default().with_message(64 * 1024);
/// assert_eq!((limits.max_message, limits.max_fragments), (65_536, 4096));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Limits {
    /// The bytes of a message, its fragments together. Default 1 MiB.
    pub max_message: usize,
    /// The fragments of a message, empty ones too, beside one for each 64 bytes that it has.
    /// Default 4,096.
    pub max_fragments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 1 << 20,
            max_fragments: 4096,
        }
    }
}

impl Limits {
    /// Sets the bytes that a message may have.
    #[must_use]
    pub const fn with_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Sets the fragments that a message may have, beside one for each 64 bytes of it.
    #[must_use]
    pub const fn with_fragments(mut self, fragments: usize) -> Self {
        self.max_fragments = fragments;
        self
    }
}
