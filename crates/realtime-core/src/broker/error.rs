//! What may go wrong with a broker.

use crate::error::operation_error;

operation_error! {
    /// A broker that could not do what it was asked.
    BrokerError, BrokerErrorKind
}

/// The sorts of [`BrokerError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BrokerErrorKind {
    /// The broker is up but accepts no publications for now.
    Blocked,
    /// The broker was closed.
    Closed,
    /// The broker is misconfigured or misused; trying again won't help.
    Config,
    /// Another node is alive under this node's id.
    DuplicateNode,
    /// Bytes from another node that are not a message of this protocol.
    InvalidMessage,
    /// The message is larger than the broker takes; it will never be published.
    TooLarge,
    /// The broker can't be reached.
    Unavailable,
    /// The outcome is not known: the message may or may not be delivered.
    Unknown,
}

impl BrokerErrorKind {
    /// It as a word, for traces and the like: `too_large`, and so on. There are no others than these.
    ///
    /// ```
    /// use realtime::broker::BrokerErrorKind;
    ///
    /// assert_eq!(BrokerErrorKind::TooLarge.name(), "too_large");
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Closed => "closed",
            Self::Config => "config",
            Self::DuplicateNode => "duplicate_node",
            Self::InvalidMessage => "invalid_message",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

impl BrokerError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        use BrokerErrorKind as K;
        matches!(self.kind, K::Blocked | K::Unavailable | K::Unknown)
    }
}
