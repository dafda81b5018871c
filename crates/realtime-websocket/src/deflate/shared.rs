//! One message for many peers, of which some have agreed to compression.

use bytes::Bytes;

use super::Agreed;

/// A server's frame for any number of connections: plain, and compressed where that is smaller. Both
/// are built once, by [`Compressor::shared_frame`](super::Compressor::shared_frame), and a clone of
/// either costs a count.
///
/// ```
/// use realtime_websocket::{Kind, deflate::{Compressor, Level, Policy}};
///
/// let text = "so much ado ".repeat(100);
/// let shared = Compressor::new(Level::default()).shared_frame(Kind::Text, text.as_bytes());
///
/// let answer = Policy::default().answer([&b"permessage-deflate"[..]]);
/// let agreed = answer.map(|answer| answer.agreed());
/// assert!(shared.for_peer(agreed).len() < shared.for_peer(None).len());
/// ```
#[derive(Debug, Clone)]
pub struct SharedFrame {
    plain: Bytes,
    compressed: Option<Bytes>,
    /// The bytes of the message.
    payload: usize,
}

impl SharedFrame {
    pub(super) const fn new(plain: Bytes, compressed: Option<Bytes>, payload: usize) -> Self {
        Self {
            plain,
            compressed,
            payload,
        }
    }

    /// The frame for a peer with which this was agreed: the compressed one where there is one and the
    /// peer [may have it](Agreed::takes_shared), and the plain one everywhere else.
    #[must_use]
    pub fn for_peer(&self, agreed: Option<Agreed>) -> &Bytes {
        match (&self.compressed, agreed) {
            (Some(compressed), Some(agreed)) if agreed.takes_shared(self.payload) => compressed,
            _ => &self.plain,
        }
    }
}
