//! The suite for [`Codec`].
//!
//! Each test gets the codec and messages that have a form in it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use realtime_core::{
    ClientError, Exchange, Message, MessageId, MessageParts, Payload, RoomName, Text,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind, Notice, Recovered},
    history::{Epoch, Position},
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
            a_notice_is_only_appended
            a_notice_without_a_form_appends_nothing
            a_notice_is_a_frame_that_the_codec_reads
            a_request_of_the_server_is_read_and_answered
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

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn encoded(codec: &impl Codec, message: &Message) -> Frame {
    let mut out = BytesMut::new();
    let kind = ok(message, codec.encode(message, &mut out));
    match frame(kind, out.freeze()) {
        Some(frame) => frame,
        None => panic!("expected that {message:?} is UTF-8 in a text frame"),
    }
}

/// A frame of this kind, unless these bytes can't be in one.
pub(super) fn frame(kind: FrameKind, payload: Bytes) -> Option<Frame> {
    match kind {
        FrameKind::Binary => Some(Frame::Binary(payload)),
        FrameKind::Text => Text::try_from(payload).ok().map(Frame::Text),
    }
}

pub(super) fn is_token(name: &str) -> bool {
    let in_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_|~`".contains(&b);
    !name.is_empty() && name.bytes().all(in_token)
}

/// The name is a non-empty HTTP token, and the same at every call.
pub async fn the_name_is_a_token_and_always_the_same((codec, _): (&impl Codec, &[Message])) {
    let name = codec.name();
    assert!(is_token(name), "{name:?}");
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
        assert_eq!(out, encoded(codec, message).into_bytes());
    }
}

/// Text frames are UTF-8.
pub async fn text_frames_are_utf8((codec, messages): (&impl Codec, &[Message])) {
    for message in messages {
        // There is no frame of it otherwise.
        encoded(codec, message);
    }
}

/// Garbage is refused with kind `Malformed`, without a panic: every prefix of a message, and
/// every message with one byte changed.
pub async fn garbage_is_refused_without_a_panic((codec, messages): (&impl Codec, &[Message])) {
    for message in messages {
        let whole = encoded(codec, message);
        let (kind, whole) = (whole.kind(), whole.into_bytes());
        let length = whole.len().min(512);
        for at in 0..length {
            let mut changed = whole.to_vec();
            changed[at] ^= 0x15;
            for payload in [whole.slice(..at), Bytes::from(changed)] {
                let Some(frame) = frame(kind, payload) else {
                    continue;
                };
                if let Err(error) = codec.decode(frame) {
                    assert_eq!(error.kind(), CodecErrorKind::Malformed);
                }
            }
        }
    }
}

/// A kind of frame that the codec doesn't speak is refused with kind `UnsupportedFrame`: a codec
/// accepts the kind that it makes, and the other one or says that it doesn't.
pub async fn a_kind_of_frame_that_is_not_spoken_is_refused(
    (codec, messages): (&impl Codec, &[Message]),
) {
    for message in messages {
        let other = match encoded(codec, message) {
            Frame::Text(text) => Some(Frame::Binary(text.into())),
            Frame::Binary(payload) => frame(FrameKind::Text, payload),
        };
        let Some(other) = other else {
            continue;
        };
        match codec.decode(other) {
            // A codec may tell text from bytes by the frame alone.
            Ok(decoded) => assert_eq!(decoded.data().as_bytes(), message.data().as_bytes()),
            Err(error) => assert_eq!(error.kind(), CodecErrorKind::UnsupportedFrame),
        }
    }
}

/// Calls `check` with every notice that there is, with and without what may be missing.
pub(super) fn each_notice(mut check: impl FnMut(&Notice<'_>)) {
    let ids = [MessageId::from("\"7\"\u{0}ä"), MessageId::from(7)];
    let plain = ClientError::new("full", "no room is left");
    let odd = ClientError::new("", "\"\\\n\u{0}\u{2028}ä").temporary();
    let later = plain.clone().with_retry_after(Duration::MAX);
    let with_data = plain
        .clone()
        .with_data(Payload::json("\"\u{0}ä").unwrap_or_default());
    for error in [&plain, &odd, &later, &with_data] {
        for id in [None, Some(&ids[0]), Some(&ids[1])] {
            check(&Notice::Error { id, error });
        }
    }
    let positions = [("a", 0), ("\"\n\u{0}ä", u64::MAX)].map(|(room, offset)| {
        let position = Position::new(Epoch::random(), offset);
        RoomName::try_from(room).ok().map(|room| (room, position))
    });
    let positions: Vec<_> = positions.into_iter().flatten().collect();
    for missed in [1, u64::MAX] {
        for rooms in [&[], positions.as_slice()] {
            check(&Notice::Gap { missed, rooms });
        }
    }
    for within in [Duration::ZERO, Duration::MAX] {
        check(&Notice::Expiring { within });
    }
    for (room, _) in &positions {
        check(&Notice::Removed { room });
    }
    let (route, position) = (
        Text::from("\"join\u{0}"),
        positions.first().map(|(_, at)| at),
    );
    let missed = [Message::from_parts(MessageParts::default())];
    let outcomes = [Recovered::Lost, Recovered::Complete(&missed)].map(Some);
    for recovery in outcomes.into_iter().chain([None]) {
        for position in [None, position] {
            let (id, route) = (&ids[0], &route);
            check(&Notice::Joined {
                id,
                route,
                position,
                recovery,
            });
        }
    }
    let message = Message::default();
    for id in &ids {
        check(&Notice::Request {
            id,
            message: &message,
        });
    }
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn encoded_notice(
    codec: &impl Codec,
    notice: &Notice<'_>,
    out: &mut BytesMut,
) -> Option<FrameKind> {
    match codec.encode_notice(notice, out) {
        Ok(kind) => kind,
        Err(error) => panic!("expected that {notice:?} has a form, or none; got {error:?}"),
    }
}

/// A notice only appends: what `out` held before stays as it was.
pub async fn a_notice_is_only_appended((codec, _): (&impl Codec, &[Message])) {
    each_notice(|notice| {
        let mut out = BytesMut::from(&b"before"[..]);
        encoded_notice(codec, notice, &mut out);
        assert_eq!(out.split_to(6), "before");
        let mut alone = BytesMut::new();
        encoded_notice(codec, notice, &mut alone);
        assert_eq!(out, alone);
    });
}

/// Where a notice has no form, nothing is appended.
pub async fn a_notice_without_a_form_appends_nothing((codec, _): (&impl Codec, &[Message])) {
    each_notice(|notice| {
        let mut out = BytesMut::new();
        let kind = encoded_notice(codec, notice, &mut out);
        assert!(kind.is_some() || out.is_empty(), "{notice:?}: {out:?}");
    });
}

/// Text frames are UTF-8, and every frame is one that the codec's own clients can read.
#[allow(clippy::panic, reason = "a test fails by a panic")]
pub async fn a_notice_is_a_frame_that_the_codec_reads((codec, _): (&impl Codec, &[Message])) {
    each_notice(|notice| {
        let mut out = BytesMut::new();
        let Some(kind) = encoded_notice(codec, notice, &mut out) else {
            return;
        };
        let Some(frame) = frame(kind, out.freeze()) else {
            panic!("expected that {notice:?} is UTF-8 in a text frame");
        };
        if let Err(error) = codec.decode(frame) {
            panic!("expected that {notice:?} can be read; got {error:?}");
        }
    });
}

/// Where a request of the server has a form, its clients read it as what it is, and what they answer
/// is read as that.
#[allow(clippy::panic, reason = "a test fails by a panic")]
pub async fn a_request_of_the_server_is_read_and_answered(
    (codec, messages): (&impl Codec, &[Message]),
) {
    let ids = [MessageId::from("\"7\"\u{0}ä"), MessageId::from(7)];
    for (id, message) in ids.iter().cycle().zip(messages) {
        let mut out = BytesMut::new();
        let notice = Notice::Request { id, message };
        let Some(kind) = encoded_notice(codec, &notice, &mut out) else {
            return;
        };
        let Some(frame) = frame(kind, out.freeze()) else {
            panic!("expected that {notice:?} is UTF-8 in a text frame");
        };
        let asked = message.clone().with_exchange(Exchange::Request(id.clone()));
        assert_eq!(ok(&asked, codec.decode(frame)), asked);
        let odd = ClientError::new("", "\"\\\n\u{0}\u{2028}ä").temporary();
        let data = Payload::json("\"\u{0}ä").unwrap_or_default();
        for exchange in [
            Exchange::Reply(id.clone()),
            Exchange::Refusal(id.clone(), ClientError::new("busy", "later")),
            Exchange::Refusal(id.clone(), odd.clone()),
            Exchange::Refusal(id.clone(), odd.with_data(data.clone())),
        ] {
            let answer = message.clone().with_exchange(exchange);
            let read = codec.decode(encoded(codec, &answer));
            assert_eq!(ok(&answer, read), answer);
        }
    }
}
