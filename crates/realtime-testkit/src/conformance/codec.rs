//! The suite for [`Codec`].
//!
//! Each test gets the codec and messages that have a form in it.

use bytes::{Bytes, BytesMut};
use realtime_core::{
    Message,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind},
};

/// Declares the tests of the suite, given a codec and messages that have a form in it:
/// `codec_suite!(MyCodec, [message, …])`. See [`conformance`](crate::conformance).
#[macro_export]
macro_rules! codec_suite {
    ($codec:expr, $messages:expr) => {
        $crate::__suite! { each, codec, (&$codec, &$messages),
            the_name_is_a_token_and_always_the_same
            what_is_encoded_decodes_to_the_same_message
            encoding_only_appends
            text_frames_are_utf8
            garbage_is_refused_without_a_panic
            a_kind_of_frame_that_is_not_spoken_is_refused
        }
    };
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn ok<T>(message: &Message, result: Result<T, CodecError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("expected that {message:?} has a form; got {error:?}"),
    }
}

fn encoded(codec: &impl Codec, message: &Message) -> Frame {
    let mut out = BytesMut::new();
    let kind = ok(message, codec.encode(message, &mut out));
    let payload = out.freeze();
    match kind {
        FrameKind::Binary => Frame::binary(payload),
        FrameKind::Text => Frame::text(payload),
    }
}

/// The name is a non-empty HTTP token, and the same at every call.
pub async fn the_name_is_a_token_and_always_the_same((codec, _): (&impl Codec, &[Message])) {
    let name = codec.name();
    let in_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_|~`".contains(&b);
    assert!(!name.is_empty() && name.bytes().all(in_token), "{name:?}");
    assert_eq!(name, codec.name());
}

/// What it appends decodes to the same message.
pub async fn what_is_encoded_decodes_to_the_same_message(
    (codec, messages): (&impl Codec, &[Message]),
) {
    assert!(!messages.is_empty(), "the suite needs a message to try");
    for message in messages {
        let decoded = codec.decode(encoded(codec, message));
        assert_eq!(ok(message, decoded), *message);
    }
}

/// It only appends: what `out` held before stays as it was.
pub async fn encoding_only_appends((codec, messages): (&impl Codec, &[Message])) {
    for message in messages {
        let mut out = BytesMut::from(&b"before"[..]);
        ok(message, codec.encode(message, &mut out));
        assert_eq!(out.split_to(6), "before");
        assert_eq!(out, encoded(codec, message).payload);
    }
}

/// Text frames are UTF-8.
pub async fn text_frames_are_utf8((codec, messages): (&impl Codec, &[Message])) {
    for message in messages {
        let frame = encoded(codec, message);
        let text = frame.kind == FrameKind::Text;
        assert!(!text || std::str::from_utf8(&frame.payload).is_ok());
    }
}

/// Garbage is refused with kind `Malformed`, without a panic: every prefix of a message, and
/// every message with one byte changed.
pub async fn garbage_is_refused_without_a_panic((codec, messages): (&impl Codec, &[Message])) {
    for message in messages {
        let frame = encoded(codec, message);
        let length = frame.payload.len().min(512);
        for at in 0..length {
            let mut changed = frame.payload.to_vec();
            changed[at] ^= 0x15;
            for payload in [frame.payload.slice(..at), Bytes::from(changed)] {
                if frame.kind == FrameKind::Text && std::str::from_utf8(&payload).is_err() {
                    continue;
                }
                let kind = frame.kind;
                if let Err(error) = codec.decode(Frame { kind, payload }) {
                    assert_eq!(error.kind(), CodecErrorKind::Malformed);
                }
            }
        }
    }
}

/// A kind of frame that the codec doesn't speak is refused with kind `UnsupportedFrame`: a codec
/// takes the kind that it makes, and the other one or says that it doesn't.
pub async fn a_kind_of_frame_that_is_not_spoken_is_refused(
    (codec, messages): (&impl Codec, &[Message]),
) {
    for message in messages {
        let frame = encoded(codec, message);
        let other = match frame.kind {
            FrameKind::Text => Frame::binary(frame.payload),
            FrameKind::Binary if std::str::from_utf8(&frame.payload).is_ok() => {
                Frame::text(frame.payload)
            }
            FrameKind::Binary => continue,
        };
        match codec.decode(other) {
            Ok(decoded) => assert_eq!(decoded, *message),
            Err(error) => assert_eq!(error.kind(), CodecErrorKind::UnsupportedFrame),
        }
    }
}
