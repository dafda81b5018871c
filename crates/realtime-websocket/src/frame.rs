//! Frames, built ready to be written.
//!
//! A server's frames are the same bytes for every connection, so a fan-out builds one and shares
//! it. A client's are masked with a key of its own each.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    CloseCode,
    header::{Header, MAX, Opcode},
    mask,
};

/// What a data frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Arbitrary bytes.
    Binary,
    /// UTF-8 text.
    Text,
}

impl Kind {
    const fn opcode(self) -> Opcode {
        match self {
            Self::Binary => Opcode::Binary,
            Self::Text => Opcode::Text,
        }
    }
}

fn build(header: Header, payload: &[u8]) -> Bytes {
    let mut head = [0; MAX];
    let size = header.write(&mut head);
    let mut out = BytesMut::with_capacity(size + payload.len());
    out.put_slice(&head[..size]);
    out.put_slice(payload);
    if let Some(key) = header.key {
        mask::apply(&mut out[size..], key, 0);
    }
    out.freeze()
}

fn unmasked(opcode: Opcode, payload: &[u8]) -> Bytes {
    build(
        Header {
            fin: true,
            opcode,
            key: None,
            length: payload.len() as u64,
        },
        payload,
    )
}

/// A server's frame that holds a whole message.
///
/// ```
/// use realtime_websocket::{Kind, frame};
///
/// assert_eq!(&frame::data(Kind::Text, b"hi")[..], b"\x81\x02hi");
/// ```
#[must_use]
pub fn data(kind: Kind, payload: &[u8]) -> Bytes {
    unmasked(kind.opcode(), payload)
}

/// A server's frame around a payload that is encoded in place, without a second copy.
///
/// `encode` appends the payload to the buffer and says what kind it is.
///
/// # Errors
/// Those of `encode`.
pub fn data_with<E>(encode: impl FnOnce(&mut BytesMut) -> Result<Kind, E>) -> Result<Bytes, E> {
    // Room for the longest header of a server; what is not needed of it is cut off in front.
    const ROOM: usize = 10;
    let mut out = BytesMut::with_capacity(256);
    out.put_bytes(0, ROOM);
    let kind = encode(&mut out)?;
    let length = out.len().saturating_sub(ROOM) as u64;
    let mut head = [0; MAX];
    let size = Header {
        fin: true,
        opcode: kind.opcode(),
        key: None,
        length,
    }
    .write(&mut head);
    let start = ROOM - size;
    out[start..ROOM].copy_from_slice(&head[..size]);
    Ok(out.freeze().slice(start..))
}

/// A server's ping. At most 125 bytes of the payload are taken.
#[must_use]
pub fn ping(payload: &[u8]) -> Bytes {
    unmasked(Opcode::Ping, &payload[..payload.len().min(125)])
}

/// A server's pong, with the payload of the ping that it answers.
#[must_use]
pub fn pong(payload: &[u8]) -> Bytes {
    unmasked(Opcode::Pong, &payload[..payload.len().min(125)])
}

/// The payload of a close frame. The reason is cut at 123 bytes, between characters; a code that
/// may not be sent gives an empty payload.
#[must_use]
pub fn close_payload(code: CloseCode, reason: &str) -> Vec<u8> {
    if !code.is_sendable() {
        return Vec::new();
    }
    let end = (0..=reason.len().min(123))
        .rev()
        .find(|i| reason.is_char_boundary(*i));
    let reason = &reason[..end.unwrap_or(0)];
    [&code.as_u16().to_be_bytes(), reason.as_bytes()].concat()
}

/// A server's close frame.
#[must_use]
pub fn close(code: CloseCode, reason: &str) -> Bytes {
    unmasked(Opcode::Close, &close_payload(code, reason))
}

/// A server's close frame without a code.
#[must_use]
pub fn close_without_code() -> Bytes {
    unmasked(Opcode::Close, &[])
}

/// A client's frame that holds a whole message.
#[must_use]
pub fn masked(kind: Kind, payload: &[u8], key: [u8; 4]) -> Bytes {
    fragment(kind.opcode().bits(), true, payload, Some(key))
}

/// A frame of any opcode, masked where a key is given: for tests of the other side. Nothing is
/// checked.
#[must_use]
pub fn fragment(opcode: u8, fin: bool, payload: &[u8], key: Option<[u8; 4]>) -> Bytes {
    let length = payload.len() as u64;
    let plain = build(
        Header {
            fin,
            opcode: Opcode::Continuation,
            key,
            length,
        },
        payload,
    );
    let mut out = BytesMut::from(plain);
    if let Some(first) = out.first_mut() {
        *first |= opcode;
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_encoded_in_place_gives_the_same_frame() {
        for size in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![7; size];
            let in_place = data_with(|out| {
                out.put_slice(&payload);
                Ok::<_, ()>(Kind::Binary)
            });
            assert_eq!(in_place, Ok(data(Kind::Binary, &payload)));
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let payload = close_payload(CloseCode::NORMAL, &"ä".repeat(100));
        assert_eq!(payload.len(), 2 + 122);
        assert!(std::str::from_utf8(&payload[2..]).is_ok());
        assert!(close_payload(CloseCode::new(1005), "x").is_empty());
    }
}
