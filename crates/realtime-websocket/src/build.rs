//! From messages to bytes: frames, built ready to be written.

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    Kind,
    frame::{Header, HeaderBytes, MAX_CONTROL, MAX_UNMASKED, Opcode},
    is_sendable_close_code, mask,
};

/// A server's frame that holds a whole message, in one allocation of exactly its size.
///
/// It is the same for every connection: build it once and share it.
///
/// ```
/// use realtime_websocket::{Kind, frame};
///
/// assert_eq!(&frame::server_frame(Kind::Text, b"hi")[..], b"\x81\x02hi");
/// ```
#[must_use]
pub fn server_frame(kind: Kind, payload: &[u8]) -> Bytes {
    build(true, kind.into(), payload, None).into()
}

/// A server's frame around a payload that is encoded in place, without a second copy.
///
/// `encode` appends the payload to the buffer and says what kind it is. What already stands in
/// the buffer is kept for the header; if `encode` throws it away, the frame is still right, but
/// costs the copy.
///
/// # Errors
/// Those of `encode`.
///
/// ```
/// use bytes::BufMut;
/// use realtime_websocket::{Kind, frame};
///
/// let built = frame::server_frame_with(|out| {
///     out.put_slice(b"hi");
///     Ok::<_, std::fmt::Error>(Kind::Text)
/// })?;
/// assert_eq!(built, frame::server_frame(Kind::Text, b"hi"));
/// # Ok::<(), std::fmt::Error>(())
/// ```
pub fn server_frame_with<E>(
    encode: impl FnOnce(&mut BytesMut) -> Result<Kind, E>,
) -> Result<Bytes, E> {
    server_frame_in(&mut BytesMut::with_capacity(256), encode)
}

/// The same at the end of a buffer, from which it is split off: several frames may share one
/// allocation, which lives as long as the longest of them. What stands in the buffer is dropped.
///
/// # Errors
/// Those of `encode`.
pub fn server_frame_in<E>(
    out: &mut BytesMut,
    encode: impl FnOnce(&mut BytesMut) -> Result<Kind, E>,
) -> Result<Bytes, E> {
    // Room for a server's longest header. No text can begin like this, so that a codec of
    // somebody else that clears the buffer first is noticed, and not answered by a broken frame.
    const ROOM: [u8; MAX_UNMASKED] = [0xff; MAX_UNMASKED];
    out.clear();
    out.extend_from_slice(&ROOM);
    let kind = encode(out)?;
    let start = match out.split_first_chunk_mut() {
        Some((room, payload)) if *room == ROOM => Header::put_before(kind, payload.len(), room),
        _ => return Ok(server_frame(kind, out)),
    };
    let mut frame = out.split().freeze();
    frame.advance(start);
    Ok(frame)
}

/// A client's frame. With `fin` not set, and [`Opcode::Continuation`] for all but the first, it
/// is a fragment of a message.
///
/// A client must draw a new key for each frame, from a source that can't be foretold. Nothing
/// else is checked: a control frame has to be whole, and no longer than 125 bytes.
///
/// ```
/// use realtime_websocket::frame::{self, Opcode};
///
/// let pong = frame::client_frame(true, Opcode::Pong, b"hi", [1, 2, 3, 4]);
/// assert_eq!(pong[..], [0x8a, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2]);
/// ```
#[must_use]
pub fn client_frame(
    fin: bool,
    opcode: impl Into<Opcode>,
    payload: &[u8],
    mask_key: [u8; 4],
) -> Bytes {
    build(fin, opcode.into(), payload, Some(mask_key)).into()
}

/// The header of a frame, for a vectored write in front of a payload that lies elsewhere. With a
/// key, the payload is yet to be masked.
///
/// ```
/// use realtime_websocket::frame::{self, Kind};
///
/// let payload = [7; 70_000];
/// let header = frame::header(true, Kind::Binary, payload.len(), None);
/// let both = [&header[..], &payload].concat();
/// assert_eq!(both, frame::server_frame(Kind::Binary, &payload));
/// ```
#[must_use]
pub fn header(
    fin: bool,
    opcode: impl Into<Opcode>,
    length: usize,
    mask_key: Option<[u8; 4]>,
) -> HeaderBytes {
    Header {
        fin,
        opcode: opcode.into(),
        key: mask_key,
        length: length as u64,
    }
    .bytes()
}

/// A server's ping. At most 125 bytes of the payload are used.
///
/// ```
/// assert_eq!(&realtime_websocket::frame::ping(b"")[..], b"\x89\0");
/// ```
#[must_use]
pub fn ping(payload: &[u8]) -> Bytes {
    control(Opcode::Ping, payload)
}

/// A server's pong, with the payload of the ping that it answers. At most 125 bytes are used.
///
/// ```
/// assert_eq!(&realtime_websocket::frame::pong(b"?")[..], b"\x8a\x01?");
/// ```
#[must_use]
pub fn pong(payload: &[u8]) -> Bytes {
    control(Opcode::Pong, payload)
}

/// A server's close frame. What becomes of the code and the reason, [`close_payload`] says.
///
/// ```
/// use realtime_websocket::frame;
///
/// assert_eq!(&frame::close(1000, "bye")[..], b"\x88\x05\x03\xe8bye");
/// ```
#[must_use]
pub fn close(code: u16, reason: &str) -> Bytes {
    control(Opcode::Close, &close_payload(code, reason))
}

/// A server's close frame without a code.
///
/// ```
/// assert_eq!(&realtime_websocket::frame::close_without_code()[..], b"\x88\0");
/// ```
#[must_use]
pub fn close_without_code() -> Bytes {
    control(Opcode::Close, &[])
}

/// The payload of a close frame. The reason is cut at 123 bytes, between characters; a code that
/// [may not be sent](is_sendable_close_code) gives an empty payload.
///
/// ```
/// use realtime_websocket::frame;
///
/// assert_eq!(frame::close_payload(1000, "bye"), b"\x03\xe8bye");
/// assert_eq!(frame::close_payload(1006, "lost"), b"");
/// ```
#[must_use]
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    if !is_sendable_close_code(code) {
        return Vec::new();
    }
    let end = (0..=reason.len().min(MAX_CONTROL - 2))
        .rev()
        .find(|i| reason.is_char_boundary(*i));
    let reason = &reason[..end.unwrap_or(0)];
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A frame with any bits where the reserved ones and the opcode are, masked if there is a key. For
/// tests of the other side: nothing is checked.
///
/// ```
/// use realtime_websocket::frame;
///
/// assert_eq!(&frame::fragment(0x40 | 1, true, b"hi", None)[..], b"\xc1\x02hi");
/// ```
#[must_use]
pub fn fragment(opcode: u8, fin: bool, payload: &[u8], key: Option<[u8; 4]>) -> Bytes {
    let mut out = build(fin, Opcode::Continuation, payload, key);
    if let Some(first) = out.first_mut() {
        *first |= opcode;
    }
    out.into()
}

fn control(opcode: Opcode, payload: &[u8]) -> Bytes {
    let payload = &payload[..payload.len().min(MAX_CONTROL)];
    build(true, opcode, payload, None).into()
}

fn build(fin: bool, opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let header = header(fin, opcode, payload.len(), key);
    let mut out = Vec::with_capacity(header.len() + payload.len());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    if let Some(key) = key {
        mask::apply(&mut out[header.len()..], key);
    }
    out
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    #[test]
    fn a_payload_encoded_in_place_gives_the_same_frame() {
        for size in [0, 1, 125, 126, 300, 65_535, 65_536] {
            let payload = vec![7; size];
            let in_place = server_frame_with(|out| {
                out.put_slice(&payload);
                Ok::<_, ()>(Kind::Binary)
            });
            assert_eq!(in_place, Ok(server_frame(Kind::Binary, &payload)));
        }
        assert_eq!(server_frame_with(|_| Err(7)), Err(7));
    }

    #[test]
    fn a_codec_that_clears_the_buffer_still_gives_its_frame() {
        for payload in [&b""[..], b"hello", b"longer than any header"] {
            let cleared = server_frame_with(|out| {
                out.clear();
                out.put_slice(payload);
                Ok::<_, ()>(Kind::Text)
            });
            assert_eq!(cleared, Ok(server_frame(Kind::Text, payload)));
            let replaced = server_frame_with(|out| {
                *out = payload.into();
                Ok::<_, ()>(Kind::Text)
            });
            assert_eq!(replaced, Ok(server_frame(Kind::Text, payload)));
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let payload = close_payload(1000, &"ä".repeat(100));
        assert_eq!(payload.len(), 2 + 122);
        assert!(std::str::from_utf8(&payload[2..]).is_ok());
        let exact = close_payload(1000, &"x".repeat(124));
        assert_eq!(exact.len(), MAX_CONTROL);
    }

    #[test]
    fn a_control_frame_never_grows_too_long() {
        assert_eq!(ping(&[7; 200]), ping(&[7; 125]));
        assert_eq!(pong(&[7; 200])[1], 125);
    }
}
