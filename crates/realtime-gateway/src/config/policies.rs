//! What is done where a queue is full, or a store is away.

use serde::{Deserialize, Serialize};

/// What happens to a message for a session whose queue is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Backpressure {
    /// The session is closed with 1013, and what waits for it is discarded.
    #[default]
    Close,
    /// The message is dropped, counted, and the gap is reported to the peer.
    DropNewest,
    /// The oldest that wait are dropped for it, counted, and the gap is reported to the peer.
    DropOldest,
}

impl Backpressure {
    /// Its name, as in files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::DropNewest => "drop-newest",
            Self::DropOldest => "drop-oldest",
        }
    }
}

/// What a message to one identity does when presence can't say where it is online.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PresenceDown {
    /// It goes to all nodes, each of which looks for the identity among its own sessions.
    Broadcast,
    /// It fails.
    #[default]
    Fail,
    /// It goes to the sessions of this node only.
    LocalOnly,
}

/// What becomes of those who show what may have been revoked, while nobody can say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RevocationsDown {
    /// They are admitted.
    Admit,
    /// They are refused with 503, or with a temporary error, and may come again.
    #[default]
    Refuse,
}
