//! The header of a frame: two to fourteen bytes.

use crate::{Role, Violation};

/// The longest header.
pub(crate) const MAX: usize = 14;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
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

    pub(crate) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A header that was read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) length: u64,
}

/// How many bytes a header has, as soon as its first two are there.
pub(crate) fn size(second: u8) -> usize {
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + if second & 0x80 == 0 { 0 } else { 4 }
}

impl Header {
    /// Reads a header of [`size`] bytes, sent to `role`.
    pub(crate) fn parse(bytes: &[u8], role: Role) -> Result<Self, Violation> {
        let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else {
            return Err(Violation::BadLength);
        };
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBit);
        }
        let (fin, opcode) = (first & 0x80 != 0, Opcode::parse(first & 0x0f)?);
        if opcode.is_control() && (!fin || second & 0x7f > 125) {
            return Err(Violation::BadControl);
        }
        if (second & 0x80 != 0) != (role == Role::Server) {
            return Err(Violation::BadMask);
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, b| (n << 8) | u64::from(*b));
        let (length, shortest, rest) = match second & 0x7f {
            126 => (number(&bytes[2..4]), 126, 4),
            127 => (number(&bytes[2..10]), 1 << 16, 10),
            short => (u64::from(short), 0, 2),
        };
        if length < shortest || length >> 63 != 0 {
            return Err(Violation::BadLength);
        }
        let key = bytes
            .get(rest..rest + 4)
            .and_then(|key| key.try_into().ok());
        Ok(Self {
            fin,
            opcode,
            key,
            length,
        })
    }

    /// Writes the header in its shortest form, and says how long it is.
    pub(crate) fn write(&self, out: &mut [u8; MAX]) -> usize {
        out[0] = self.opcode.bits() | if self.fin { 0x80 } else { 0 };
        let masked = if self.key.is_some() { 0x80 } else { 0 };
        let mut size = match self.length {
            short @ 0..126 => {
                out[1] = masked | short as u8;
                2
            }
            medium @ 126..65_536 => {
                out[1] = masked | 126;
                out[2..4].copy_from_slice(&(medium as u16).to_be_bytes());
                4
            }
            long => {
                out[1] = masked | 127;
                out[2..10].copy_from_slice(&long.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.key {
            out[size..size + 4].copy_from_slice(&key);
            size += 4;
        }
        size
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(fin: bool, length in 0..u64::MAX >> 1, key: Option<[u8; 4]>) {
            let header = Header { fin, opcode: Opcode::Text, key, length };
            let mut out = [0; MAX];
            let size = header.write(&mut out);
            let role = if key.is_some() { Role::Server } else { Role::Client };
            prop_assert_eq!(super::size(out[1]), size);
            prop_assert_eq!(Header::parse(&out[..size], role), Ok(header));
        }
    }
}
