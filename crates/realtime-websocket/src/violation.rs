//! What a peer did that RFC 6455 forbids.

/// What a peer did that ends the connection, and the close code that says so.
///
/// ```
/// use realtime_websocket::{Decoder, Limits, Role, Violation, frame};
///
/// let mut server = Decoder::new(Role::Server, Limits::default());
/// let unmasked = frame::server_frame(frame::Kind::Text, b"hi");
///
/// let refused = server.decode(&mut &unmasked[..]);
/// assert_eq!(refused, Err(Violation::BadMask));
/// assert_eq!(Violation::BadMask.close_code(), 1002);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A close frame with a code that may not be sent, or with one byte of payload.
    #[error("a close frame needs no payload, or a code that may be sent and a reason")]
    BadClose,
    /// A control frame over 125 bytes, or fragmented.
    #[error("a control frame holds at most 125 bytes and is not fragmented")]
    BadControl,
    /// Text, or the reason of a close, that is not UTF-8.
    #[error("text must be valid UTF-8")]
    BadUtf8,
    /// A compressed message that is no DEFLATE data, or is cut off.
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    #[error("a compressed message must be whole and valid DEFLATE data")]
    BadDeflate,
    /// A length that is not in its shortest form, or has its top bit set.
    #[error("a frame's length must be in its shortest form and below 2^63")]
    BadLength,
    /// A client's frame without a mask, or a server's with one.
    #[error("a client must mask its frames, and a server must not")]
    BadMask,
    /// An opcode that is reserved.
    #[error("expected opcode 0, 1, 2, 8, 9 or 10; got {0}")]
    BadOpcode(u8),
    /// More small fragments than the limit.
    #[error("a message may have at most {limit} fragments beside one for each 64 bytes")]
    Fragments {
        /// The limit.
        limit: usize,
    },
    /// A message that is much larger than what was sent for it.
    #[cfg(feature = "deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
    #[error("a compressed message may have at most {limit} times the bytes that were sent for it")]
    Ratio {
        /// The limit.
        limit: u32,
    },
    /// A reserved bit that no extension was agreed for, or on a frame that may not have it.
    #[error("a reserved bit is set where no agreed extension allows it")]
    ReservedBit,
    /// A message over the limit.
    #[error("a message may have at most {limit} bytes")]
    TooBig {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A continuation without a start.
    #[error("a continuation frame came without the start of a message")]
    UnexpectedContinuation,
    /// A new message before the last one was finished.
    #[error("a new message began before the last one was finished")]
    UnfinishedMessage,
}

impl Violation {
    /// The code of the close frame for the peer: 1002 for a breach of the protocol, 1007 for
    /// text that isn't UTF-8 or a message that can't be decompressed, 1008 for too many fragments
    /// or a message that is compressed too well, 1009 for too many bytes.
    #[must_use]
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::BadUtf8 => 1007,
            Self::Fragments { .. } => 1008,
            Self::TooBig { .. } => 1009,
            #[cfg(feature = "deflate")]
            Self::BadDeflate => 1007,
            #[cfg(feature = "deflate")]
            Self::Ratio { .. } => 1008,
            _ => 1002,
        }
    }

    /// Whether it is found in what a message holds: where the frames lie is known then.
    pub(crate) const fn is_of_a_payload(&self) -> bool {
        match self {
            Self::BadUtf8 | Self::TooBig { .. } => true,
            #[cfg(feature = "deflate")]
            Self::BadDeflate | Self::Ratio { .. } => true,
            _ => false,
        }
    }
}
