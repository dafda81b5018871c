//! Frames: what one is called, the two to fourteen bytes in front of it, and how to build it.
//!
//! A frame is a header and a payload. [`server_frame`] and [`client_frame`] build both;
//! [`header()`] builds the header alone, for a vectored write in front of a payload that lies
//! elsewhere.

use std::{fmt, ops::Deref};

use crate::{Role, Violation};

pub use crate::build::{
    client_frame, close, close_payload, close_without_code, fragment, header, ping, pong,
    server_frame, server_frame_in, server_frame_with,
};

/// The longest header.
pub(crate) const MAX: usize = 14;
/// The longest header without a mask.
pub(crate) const MAX_UNMASKED: usize = 10;

/// The longest payload of a ping, a pong or a close.
pub(crate) const MAX_CONTROL: usize = 125;

/// What a message carries.
///
/// ```
/// use realtime_websocket::frame::{Kind, Opcode};
///
/// assert_eq!(Opcode::from(Kind::Text), Opcode::Text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Arbitrary bytes.
    Binary,
    /// UTF-8 text.
    Text,
}

/// What a frame is. The RFC has no others, and an endpoint must refuse those that it reserves.
///
/// ```
/// use realtime_websocket::frame::Opcode;
///
/// assert!(Opcode::Ping.is_control());
/// assert!(!Opcode::Continuation.is_control());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// A further fragment of the message that has begun.
    Continuation,
    /// A text message, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// The end of the connection.
    Close,
    /// A question whether the peer is there.
    Ping,
    /// The answer to a ping, or a sign of life.
    Pong,
}

impl From<Kind> for Opcode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Binary => Self::Binary,
            Kind::Text => Self::Text,
        }
    }
}

impl Opcode {
    fn parse(bits: u8) -> Result<Self, Violation> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => return Err(Violation::BadOpcode(other)),
        })
    }

    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    /// Whether it is a close, a ping or a pong: at most 125 bytes, never fragmented, and allowed
    /// between the fragments of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The bytes of a header, without an allocation. They are read as a slice.
///
/// ```
/// use realtime_websocket::frame::{self, Kind};
///
/// assert_eq!(&frame::header(true, Kind::Binary, 300, None)[..], [0x82, 126, 1, 44]);
/// ```
#[derive(Clone, Copy)]
pub struct HeaderBytes {
    bytes: [u8; MAX],
    len: u8,
}

impl Deref for HeaderBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl AsRef<[u8]> for HeaderBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for HeaderBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeaderBytes").field(&&self[..]).finish()
    }
}

/// A header by its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) length: u64,
}

impl Header {
    /// Reads the header at the front of `bytes`, sent to `role`, and says how long it is. `None`
    /// while it isn't whole.
    ///
    /// The checks go in the order of the bytes, so that a header is refused as soon as it can't
    /// become lawful, and for the same reason however it was cut.
    pub(crate) fn parse(bytes: &[u8], role: Role) -> Result<Option<(Self, usize)>, Violation> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBit);
        }
        let (fin, opcode) = (first & 0x80 != 0, Opcode::parse(first & 0x0f)?);
        if opcode.is_control() && !fin {
            return Err(Violation::BadControl);
        }

        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let masked = second & 0x80 != 0;
        if masked != (role == Role::Server) {
            return Err(Violation::BadMask);
        }
        let short = second & 0x7f;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL {
            return Err(Violation::BadControl);
        }

        let (length, shortest, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), 126, rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), 1 << 16, rest),
                None => return Ok(None),
            },
            short => (u64::from(short), 0, rest),
        };
        if length < shortest || length >> 63 != 0 {
            return Err(Violation::BadLength);
        }

        let (key, rest) = match rest.split_first_chunk() {
            _ if !masked => (None, rest),
            Some((key, rest)) => (Some(*key), rest),
            None => return Ok(None),
        };
        let header = Self {
            fin,
            opcode,
            key,
            length,
        };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// The bytes of the header, in its shortest form.
    pub(crate) fn bytes(&self) -> HeaderBytes {
        let mut bytes = [0; MAX];
        bytes[0] = self.opcode.bits() | if self.fin { 0x80 } else { 0 };
        let masked = if self.key.is_some() { 0x80 } else { 0 };
        let mut len = match self.length {
            short @ 0..126 => {
                bytes[1] = masked | short as u8;
                2
            }
            medium @ 126..65_536 => {
                bytes[1] = masked | 126;
                bytes[2..4].copy_from_slice(&(medium as u16).to_be_bytes());
                4
            }
            long => {
                bytes[1] = masked | 127;
                bytes[2..10].copy_from_slice(&long.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.key {
            bytes[len..len + 4].copy_from_slice(&key);
            len += 4;
        }
        HeaderBytes {
            bytes,
            len: len as u8,
        }
    }

    /// Writes the header of a server's whole message where it ends right before the payload, and
    /// returns where it begins. The same bytes as [`bytes`](Self::bytes), without a copy.
    pub(crate) fn put_before(kind: Kind, length: usize, room: &mut [u8; MAX_UNMASKED]) -> usize {
        let first = 0x80 | Opcode::from(kind).bits();
        match length {
            0..126 => {
                (room[8], room[9]) = (first, length as u8);
                8
            }
            126..65_536 => {
                (room[6], room[7]) = (first, 126);
                room[8..].copy_from_slice(&(length as u16).to_be_bytes());
                6
            }
            _ => {
                (room[0], room[1]) = (first, 127);
                room[2..].copy_from_slice(&(length as u64).to_be_bytes());
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opcode() -> impl Strategy<Value = Opcode> {
        use Opcode::*;
        prop::sample::select(vec![Continuation, Text, Binary, Close, Ping, Pong])
    }

    fn length() -> impl Strategy<Value = u64> {
        prop_oneof![0..130u64, 65_530..65_545u64, 0..=u64::MAX >> 1]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_once_it_is_whole(
            fin: bool, opcode in opcode(), length in length(), key: Option<[u8; 4]>,
        ) {
            let control = opcode.is_control();
            let header = Header {
                fin: fin || control,
                opcode,
                key,
                length: if control { length % 126 } else { length },
            };
            let role = if key.is_some() { Role::Server } else { Role::Client };
            let bytes = header.bytes();
            for cut in 0..bytes.len() {
                prop_assert_eq!(Header::parse(&bytes[..cut], role), Ok(None));
            }
            let behind = [&bytes[..], b"payload"].concat();
            prop_assert_eq!(Header::parse(&behind, role), Ok(Some((header, bytes.len()))));
        }

        #[test]
        fn a_cut_header_is_refused_for_the_reason_of_the_whole(
            bytes: [u8; MAX], server: bool, cut in 0..=MAX,
        ) {
            let role = if server { Role::Server } else { Role::Client };
            if let Err(early) = Header::parse(&bytes[..cut], role) {
                prop_assert_eq!(Header::parse(&bytes, role), Err(early));
            }
        }
    }

    #[test]
    fn the_first_byte_that_shows_it_is_enough() {
        let refused = |bytes: &[u8]| Header::parse(bytes, Role::Server).err();
        assert_eq!(refused(b"\xc1"), Some(Violation::ReservedBit));
        assert_eq!(refused(b"\x83"), Some(Violation::BadOpcode(3)));
        assert_eq!(refused(b"\x09"), Some(Violation::BadControl));
        assert_eq!(refused(b"\x81\x05"), Some(Violation::BadMask));
        assert_eq!(refused(b"\x89\xfe"), Some(Violation::BadControl));
        assert_eq!(refused(b"\x81\xfe\0\x7d"), Some(Violation::BadLength));
        assert_eq!(
            refused(b"\x81\xff\0\0\0\0\0\0\xff\xff"),
            Some(Violation::BadLength)
        );
        assert_eq!(
            refused(b"\x81\xff\x80\0\0\0\0\0\0\0"),
            Some(Violation::BadLength)
        );
    }
}
