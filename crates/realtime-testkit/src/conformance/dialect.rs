//! The suite for [`Dialect`].
//!
//! Each test gets the dialect and frames that its clients send.

use bytes::{Buf, Bytes, BytesMut};
use realtime_core::{
    ClientError, CloseCode, IdentityKey, Message, MessageId, Payload, RoomName, SessionId, Text,
    codec::{CodecError, CodecErrorKind, Frame, FrameKind, Notice},
    dialect::{Action, Actions, Client, Dialect, Event, Heartbeat, Opening},
    history::{Epoch, Position},
};

use super::codec::{each_notice, frame, is_token};

/// Declares the tests of the suite, given a dialect and frames that its clients send, one of each
/// sort: `dialect_suite!(MyDialect, [Frame::Text("…".into()), …])`. See
/// [`conformance`](crate::conformance).
#[macro_export]
macro_rules! dialect_suite {
    ($dialect:expr, $frames:expr) => {
        $crate::__suite! { each, dialect, (&$dialect, &$frames),
            the_name_is_a_token_and_always_the_same
            a_close_code_is_always_the_same
            what_clients_send_is_read
            what_is_read_keeps_to_the_bounds_of_messages
            nothing_is_kept_of_what_was_read_before
            garbage_is_refused_without_a_panic
            a_kind_of_frame_that_is_not_spoken_is_refused
            an_event_is_only_appended
            an_event_without_a_form_appends_nothing
            what_is_written_is_a_frame
            what_clients_have_to_see_has_a_form
            what_was_asked_has_an_answer_and_an_error
            answers_to_different_requests_are_different
        }
    };
}

/// What a frame was read as: its actions, and the error behind them.
struct Read {
    actions: Vec<Action>,
    error: Option<CodecError>,
}

fn read(dialect: &impl Dialect, frame: &Frame, client: &Client<'_>) -> Read {
    let mut actions = Actions::new();
    let error = dialect.read(frame.clone(), client, &mut actions).err();
    let count = actions.len();
    assert!(count <= Actions::MAX, "{count} actions of one frame");
    Read {
        actions: actions.into_iter().collect(),
        error,
    }
}

/// Reads a frame of whoever may send one: a session, and a client that has yet to show who it is.
fn read_of_each(dialect: &impl Dialect, frame: &Frame) -> [Read; 2] {
    let identity = IdentityKey::new("ann").with_tenant("acme");
    let opening = Opening::new(SessionId::random(), &identity);
    [Client::of(&opening), Client::default()].map(|client| read(dialect, frame, &client))
}

/// The messages in what was read, in their order.
fn messages(read: &Read) -> Vec<&Message> {
    let messages = read.actions.iter().map(|action| match action {
        Action::Handle(message) => Some(message),
        _ => None,
    });
    messages.flatten().collect()
}

fn same(one: &Read, other: &Read) -> bool {
    let same = |pair: (&Action, &Action)| match pair {
        (Action::Handle(one), Action::Handle(other)) => one == other,
        (Action::Malformed(one), Action::Malformed(other)) => one.kind() == other.kind(),
        (Action::Answer(kind, one), Action::Answer(of, other)) => (kind, one) == (of, other),
        _ => false,
    };
    let kind = |read: &Read| read.error.as_ref().map(CodecError::kind);
    one.actions.len() == other.actions.len()
        && one.actions.iter().zip(&other.actions).all(same)
        && kind(one) == kind(other)
}

/// The name is a non-empty HTTP token, and the same at every call.
pub async fn the_name_is_a_token_and_always_the_same((dialect, _): (&impl Dialect, &[Frame])) {
    let name = dialect.name();
    assert!(is_token(name), "{name:?}");
    assert_eq!(name, dialect.name());
    assert_eq!(dialect.heartbeat(), dialect.heartbeat());
}

/// Each close code becomes one, the same at every call.
pub async fn a_close_code_is_always_the_same((dialect, _): (&impl Dialect, &[Frame])) {
    for code in (1000..5000).flat_map(CloseCode::new) {
        assert_eq!(
            dialect.close_code(code),
            dialect.close_code(code),
            "{code:?}"
        );
    }
}

/// What clients send is read without an error.
#[allow(clippy::panic, reason = "a test fails by a panic")]
pub async fn what_clients_send_is_read((dialect, frames): (&impl Dialect, &[Frame])) {
    assert!(!frames.is_empty(), "the suite needs a frame to try");
    for frame in frames {
        let [read, _] = read_of_each(dialect, frame);
        if let Some(error) = read.error {
            panic!("expected that {frame:?} can be read; got {error:?}");
        }
        for action in &read.actions {
            if let Action::Malformed(error) = action {
                panic!("expected that all of {frame:?} can be read; got {error:?}");
            }
        }
    }
}

/// However much is in a frame, its messages keep to the bounds of a message, and there are no more than
/// there may be; what the dialect itself answers is a frame.
pub async fn what_is_read_keeps_to_the_bounds_of_messages(
    (dialect, frames): (&impl Dialect, &[Frame]),
) {
    for sent in frames {
        // The same many times over: one more line, one more document, or garbage.
        let bytes = sent.as_bytes();
        for between in [&b""[..], b"\n", b",", b"\x1e"] {
            let many = [bytes, between].concat().repeat(2 * Actions::MAX);
            let many = frame(sent.kind(), Bytes::from(many));
            for sent in many.iter().chain([sent]) {
                read_of_each(dialect, sent).iter().for_each(keeps_to_bounds);
            }
        }
    }
}

fn keeps_to_bounds(read: &Read) {
    if let Some(error) = &read.error {
        assert_eq!(error.kind(), CodecErrorKind::Malformed, "{error:?}");
    }
    for action in &read.actions {
        match action {
            Action::Handle(message) => {
                let longest = message.route().len().max(message.id().map_or(0, str::len));
                assert!(longest <= Message::MAX_NAME_BYTES, "{message:?}");
                let entries = message.metadata().map_or(0, |metadata| metadata.len());
                assert!(entries <= Message::MAX_METADATA, "{message:?}");
            }
            Action::Answer(kind, answer) => {
                assert!(frame(*kind, answer.clone()).is_some(), "{answer:?}");
            }
            _ => {}
        }
    }
}

/// A frame is read as the same, whatever was read before it.
pub async fn nothing_is_kept_of_what_was_read_before((dialect, frames): (&impl Dialect, &[Frame])) {
    for frame in frames {
        let [alone, _] = read_of_each(dialect, frame);
        for before in frames {
            read_of_each(dialect, before);
            let [after, _] = read_of_each(dialect, frame);
            assert!(same(&alone, &after), "{frame:?} behind {before:?}");
        }
    }
}

/// Garbage is refused with kind `Malformed`, without a panic: every prefix of a frame, every frame
/// with one byte changed, and what is no frame of any protocol.
pub async fn garbage_is_refused_without_a_panic((dialect, frames): (&impl Dialect, &[Frame])) {
    let refused = |garbage: Frame| {
        for read in read_of_each(dialect, &garbage) {
            let errors = read.actions.iter().filter_map(|action| match action {
                Action::Malformed(error) => Some(error),
                _ => None,
            });
            for error in errors.chain(&read.error) {
                assert_eq!(error.kind(), CodecErrorKind::Malformed, "{garbage:?}");
            }
        }
    };
    for sent in frames {
        let (kind, whole) = (sent.kind(), Bytes::copy_from_slice(sent.as_bytes()));
        for at in 0..whole.len().min(512) {
            let mut changed = whole.to_vec();
            changed[at] ^= 0x15;
            for payload in [whole.slice(..at), Bytes::from(changed)] {
                frame(kind, payload).into_iter().for_each(refused);
            }
        }
        let odd = [
            "".to_owned(),
            "\0".to_owned(),
            "\n\n\r\n".to_owned(),
            "\u{feff}{}".to_owned(),
            "[".repeat(100_000),
            "{\"a\":".repeat(100_000),
            "\u{1f600}".repeat(1_000),
            "1".repeat(100_000),
        ];
        let bytes = (0..=255).map(|byte| vec![byte; 9]);
        let odd = odd.into_iter().map(String::into_bytes).chain(bytes);
        for payload in odd {
            frame(kind, payload.into()).into_iter().for_each(refused);
        }
    }
}

/// A kind of frame that the dialect doesn't speak is refused with kind `UnsupportedFrame`: it reads
/// the other kind as the same, or says that it doesn't.
pub async fn a_kind_of_frame_that_is_not_spoken_is_refused(
    (dialect, frames): (&impl Dialect, &[Frame]),
) {
    for sent in frames {
        let payload = Bytes::copy_from_slice(sent.as_bytes());
        let other = match sent.kind() {
            FrameKind::Text => frame(FrameKind::Binary, payload),
            FrameKind::Binary => frame(FrameKind::Text, payload),
        };
        let Some(other) = other else {
            continue;
        };
        let ([here, _], [there, _]) = (read_of_each(dialect, sent), read_of_each(dialect, &other));
        match &there.error {
            None => assert_eq!(here.actions.len(), there.actions.len(), "{other:?}"),
            Some(error) => {
                assert_eq!(error.kind(), CodecErrorKind::UnsupportedFrame, "{other:?}");
            }
        }
    }
}

/// Calls `check` with every event that there is, with and without what may be missing.
fn each_event(mut check: impl FnMut(&Event<'_>)) {
    let long = "n".repeat(256);
    let names = ["a", "\"\n\u{0}ä", &long].map(|name| RoomName::try_from(name).ok());
    let ids = [
        "7".into(),
        "\"7\"\u{0}ä".into(),
        MessageId::from(u64::MAX),
        (&*long).into(),
    ];
    let odd = || Payload::json("\"\u{0}\n\u{2028}ä").unwrap_or_default();
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let data = [
        Payload::empty(),
        Payload::json(&serde_json::json!({"a": [1, null, {"b": -1.5e300}]})).unwrap_or_default(),
        odd(),
        Payload::from(deep).into_json().unwrap_or_default(),
        Payload::binary(&b"\xff\x00\n"[..]),
        Payload::binary(Bytes::new()),
    ];
    let position = Position::new(Epoch::random(), u64::MAX);
    for route in ["", "news", "\"\n\u{0}ä", &long] {
        for data in &data {
            let message = Message::plain(None, Text::from(route.to_owned()), data.clone());
            check(&Event::Message(&message));
            let noted = message.clone().with_metadata("\"\n", "ä\u{0}");
            check(&Event::Message(&noted));
            for room in names.iter().flatten() {
                let message = noted.clone().with_room(room.clone());
                check(&Event::Message(&message));
                check(&Event::Message(&message.with_offset(u64::MAX)));
            }
            for id in &ids {
                check(&Event::Reply(&message.clone().with_id(id.clone())));
            }
        }
    }
    for room in names.iter().flatten() {
        check(&Event::Entered(room, None));
        check(&Event::Entered(room, Some(&position)));
    }
    let identity = IdentityKey::new("\"ann\"\n").with_tenant("ä\u{0}");
    let mut opening = Opening::new(SessionId::random(), &identity);
    check(&Event::Opened(&opening));
    let longest = Some(std::time::Duration::MAX);
    (opening.expires_in, opening.ping_every, opening.pong_within) = (longest, longest, longest);
    for id in &ids {
        opening.request = Some(id);
        check(&Event::Opened(&opening));
    }
    check(&Event::Ping);
    each_notice(|notice| check(&Event::Notice(notice)));
}

/// What an event was written as. One that has a form may be one that can't be written.
fn written(dialect: &impl Dialect, event: &Event<'_>, out: &mut BytesMut) -> Option<FrameKind> {
    match dialect.write(event, out) {
        Ok(kind) => kind,
        Err(error) => {
            assert_eq!(error.kind(), CodecErrorKind::Encode, "{event:?}");
            out.clear();
            None
        }
    }
}

/// An event only appends: what `out` held before stays as it was, also where it can't be written.
pub async fn an_event_is_only_appended((dialect, _): (&impl Dialect, &[Frame])) {
    each_event(|event| {
        let mut out = BytesMut::from(&b"before"[..]);
        let kind = dialect.write(event, &mut out);
        assert!(out.starts_with(b"before"), "{event:?}: {out:?}");
        let Ok(kind) = kind else {
            return;
        };
        out.advance(6);
        let mut alone = BytesMut::new();
        assert_eq!(written(dialect, event, &mut alone), kind, "{event:?}");
        assert_eq!(out, alone, "{event:?}");
    });
}

/// Where an event has no form, nothing is appended.
pub async fn an_event_without_a_form_appends_nothing((dialect, _): (&impl Dialect, &[Frame])) {
    each_event(|event| {
        let mut out = BytesMut::new();
        let kind = written(dialect, event, &mut out);
        assert!(kind.is_some() || out.is_empty(), "{event:?}: {out:?}");
    });
}

/// Text frames are UTF-8.
pub async fn what_is_written_is_a_frame((dialect, _): (&impl Dialect, &[Frame])) {
    each_event(|event| {
        let mut out = BytesMut::new();
        if let Some(kind) = written(dialect, event, &mut out) {
            assert!(frame(kind, out.freeze()).is_some(), "{event:?}");
        }
    });
}

/// A client that is to answer pings of the protocol's own is sent some.
pub async fn what_clients_have_to_see_has_a_form((dialect, _): (&impl Dialect, &[Frame])) {
    if dialect.heartbeat() == Heartbeat::Messages {
        let mut out = BytesMut::new();
        assert!(written(dialect, &Event::Ping, &mut out).is_some(), "a ping");
    }
}

/// The requests in frames: messages that were read with an id.
fn requests(dialect: &impl Dialect, frames: &[Frame]) -> Vec<Message> {
    let reads = frames.iter().map(|frame| read_of_each(dialect, frame));
    let reads: Vec<_> = reads.map(|[read, _]| read).collect();
    let asked = reads.iter().flat_map(messages);
    asked
        .filter(|message| message.id().is_some())
        .cloned()
        .collect()
}

/// What a client is answered: the reply to its request, and an error.
fn answers(dialect: &impl Dialect, asked: &Message) -> [Option<(FrameKind, BytesMut)>; 2] {
    let (id, route) = (asked.message_id(), asked.route_text().clone());
    let reply = Message::plain(id.cloned(), route, Payload::empty());
    let error = &ClientError::new("full", "no room is left");
    let notice = Notice::Error { id, error };
    [Event::Reply(&reply), Event::Notice(&notice)].map(|event| {
        let mut out = BytesMut::new();
        written(dialect, &event, &mut out).map(|kind| (kind, out))
    })
}

/// Who asks, with an id, waits for an answer: a reply has a form, and so has an error.
pub async fn what_was_asked_has_an_answer_and_an_error(
    (dialect, frames): (&impl Dialect, &[Frame]),
) {
    for asked in requests(dialect, frames) {
        let [reply, error] = answers(dialect, &asked);
        assert!(reply.is_some(), "a reply to {asked:?}");
        assert!(error.is_some(), "an error to {asked:?}");
    }
}

/// An id comes back as it was, so a client can tell the answers to its requests apart.
pub async fn answers_to_different_requests_are_different(
    (dialect, frames): (&impl Dialect, &[Frame]),
) {
    let asked = requests(dialect, frames);
    for one in &asked {
        for other in &asked {
            if one.message_id() != other.message_id() && one.route() == other.route() {
                let (here, there) = (answers(dialect, one), answers(dialect, other));
                for (here, there) in here.iter().zip(&there) {
                    assert!(here.is_none() || here != there, "{one:?} and {other:?}");
                }
            }
        }
    }
}
