//! How long what clients send is, for who counts it.

/// The bytes of a message on its way to its handler. Where nothing is measured, it has no size itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    #[cfg(feature = "metrics")]
    pub(super) bytes: u64,
}

#[cfg(feature = "metrics")]
impl Size {
    pub(crate) const fn of(bytes: usize) -> Self {
        Self {
            bytes: bytes as u64,
        }
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

#[cfg(not(feature = "metrics"))]
impl Size {
    #[inline(always)]
    pub(crate) const fn of(_: usize) -> Self {
        Self {}
    }

    #[inline(always)]
    pub(crate) const fn and(self, _: Self) -> Self {
        self
    }
}

/// How the handling of a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    /// It was the client's fault, or an answer that its handler wanted to give.
    Refused,
    Failed,
}

/// What has become of a message that a client has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// It answers a request of the server.
    Answer,
    /// It was passed to a handler, or answered without one, or needs no answer.
    Handled,
    /// It was no envelope, or in a kind of frame that its codec doesn't know.
    Malformed,
    /// Its client sends more than it may, whatever it was.
    RateLimited,
    /// Its session ended first.
    Unhandled,
}
