//! Envelopes are read as they were written, and nothing else is.

use bytes::Bytes;
use proptest::prelude::*;

use super::{Envelope, EnvelopeKind, Except, Target, wire::VERSION};
use crate::{IdentityKey, RoomName, SessionId, broker::BrokerErrorKind, codec::FrameKind};

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        target in prop::option::of((".{0,9}", ".{0,9}")), codec in ".{0,9}", text: bool,
        trace in ".{0,9}", body: Vec<u8>, number: u64, sort in 0..3_usize,
    ) {
        let target = target.map_or(Target::All, |(t, i)| Target::Identity(IdentityKey::new(i).with_tenant(t)));
        let kind = if text { FrameKind::Text } else { FrameKind::Binary };
        let sort = [EnvelopeKind::Message, EnvelopeKind::Control, EnvelopeKind::Receipt][sort];
        let envelope = Envelope::new(target, codec, kind, body.into())
            .with_traceparent(trace).with_correlation(number).with_kind(sort);
        prop_assert_eq!(Envelope::decode(envelope.encode()).unwrap(), envelope);
    }

    #[test]
    fn garbage_is_refused_or_read_and_never_panics(mut bytes: Vec<u8>, version: bool) {
        if let (true, Some(first)) = (version, bytes.first_mut()) {
            *first = VERSION;
        }
        if let Err(error) = Envelope::decode(bytes.into()) {
            prop_assert_eq!(error.kind(), BrokerErrorKind::InvalidMessage);
        }
    }
}

#[test]
fn what_is_not_known_is_refused_or_skipped() {
    let codec = "realtime.json";
    let sent = Envelope::new(
        Target::All,
        codec,
        FrameKind::Text,
        Bytes::from_static(b"{}"),
    );
    let bytes = sent.encode();
    let changed = |at: usize, with: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = with;
        Envelope::decode(bytes.into())
    };
    // A version, a kind, a flag and a target that this version doesn't know.
    for (at, with) in [(0, 2), (1, 3), (2, 0x81), (2, 3), (12, 5)] {
        let refused = changed(at, with).map_err(|error| error.kind());
        assert_eq!(refused, Err(BrokerErrorKind::InvalidMessage), "{at}");
    }
    assert_eq!(changed(3, 0xff).unwrap(), sent, "a hint");
    let (head, body) = bytes.split_at(bytes.len() - 4);
    assert_eq!(body, b"\0\0{}", "no extensions, and the body");
    let extended = [head, b"\0\x05", b"\xc8\0\x02??", b"{}"].concat();
    assert_eq!(Envelope::decode(extended.into()).unwrap(), sent);
}

#[test]
fn one_session_is_a_target() {
    let target = Target::Session(SessionId::random());
    let sent = Envelope::new(target, "c", FrameKind::Binary, Bytes::new());
    let bytes = sent.encode();
    assert_eq!(Envelope::decode(bytes.clone()).unwrap(), sent);
    let mut shorter = bytes.to_vec();
    (shorter[14], _) = (15, shorter.remove(15));
    assert!(Envelope::decode(shorter.into()).is_err());
}

#[test]
fn names_without_end_are_cut_between_characters() {
    let id = "€".repeat(30_000);
    let key = IdentityKey::new(id.clone()).with_tenant(id);
    let sent = Envelope::new(Target::Identity(key), "c", FrameKind::Binary, Bytes::new());
    let Target::Identity(key) = Envelope::decode(sent.encode()).unwrap().target else {
        panic!("it was for an identity");
    };
    assert_eq!((key.tenant().len(), key.id().len()), (31_998, 31_998));
}

#[test]
fn the_largest_envelope_fits() {
    let name = |n: usize| RoomName::try_from(format!("{n:0>256}")).unwrap();
    let key = |n: usize| IdentityKey::new(format!("{n:0>512}")).with_tenant("t".repeat(512));
    let target = Target::Rooms((0..Target::MAX_ROOMS).map(name).collect());
    let except = (1..Except::MAX).map(|n| Except::Identity(key(n)));
    let except = except
        .chain([Except::Session(SessionId::random())])
        .collect();
    let sent = Envelope::new(target, "c", FrameKind::Binary, Bytes::new());
    let sent = sent
        .with_except(except)
        .with_traceparent("t".repeat(32_000));
    assert_eq!(Envelope::decode(sent.encode()).unwrap(), sent);
}

#[test]
fn more_than_is_written_is_not_read() {
    let room = RoomName::try_from("a").unwrap();
    let many = vec![room.clone(); Target::MAX_ROOMS + 1];
    let sent = Envelope::new(Target::Rooms(many), "c", FrameKind::Text, Bytes::new());
    let read = Envelope::decode(sent.encode()).unwrap();
    let first = vec![room; Target::MAX_ROOMS];
    assert_eq!(read.target(), &Target::Rooms(first));
    let none = Envelope::new(Target::Rooms(vec![]), "c", FrameKind::Text, Bytes::new());
    assert!(Envelope::decode(none.encode()).is_err(), "it is for nobody");
}
