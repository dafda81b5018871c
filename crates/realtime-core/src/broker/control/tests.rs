//! What is written is read again, and nothing else is.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use proptest::prelude::*;

use super::{ClientAnswer, Command, Operation, Outcome, answer::json_or_bytes};
use crate::{
    ClientError, CloseCode, IdentityKey, IdentityUpdate, RoomName, SessionId,
    broker::BrokerErrorKind, codec::Frame, revocation::Revocation,
};

fn operations() -> impl Strategy<Value = Operation> {
    let room = "[a-z€]{1,64}".prop_map(|name| RoomName::try_from(name).unwrap());
    prop_oneof![
        (".{0,30}", 3000..5000_u16).prop_map(|(reason, code)| Operation::Disconnect {
            code: CloseCode::new(code).unwrap(),
            reason: reason.into(),
        }),
        room.clone().prop_map(Operation::Join),
        room.prop_map(Operation::Leave),
        any::<Vec<u8>>().prop_map(|message| Operation::Request(message.into())),
        ("[a-z\"€]{0,9}", any::<u32>()).prop_map(|(id, at)| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at.into());
            Operation::Revoke(Revocation::identity(IdentityKey::new(id), at))
        }),
        "[a-z\"€]{0,9}".prop_map(|name| {
            let update = IdentityUpdate::new().with_roles([&name]);
            Operation::Update(update.with_claim(name.as_str(), 7))
        }),
    ]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let result = prop_oneof![
        any::<Vec<u8>>().prop_map(|message| Ok(Frame::Binary(message.into()))),
        ".{0,9}".prop_map(|message| Ok(Frame::Text(message.into()))),
        (".{0,9}", ".{0,9}", 0..3_u32, any::<bool>()).prop_map(
            |(code, message, temporary, has_data)| {
                let refusal = ClientError::new(code, message);
                let refusal = match has_data {
                    true => refusal.with_data(json_or_bytes(Bytes::from_static(b"[1]"))),
                    false => refusal,
                };
                Err(match temporary {
                    0 => refusal,
                    1 => refusal.temporary(),
                    ms => refusal.with_retry_after(Duration::from_millis(ms.into())),
                })
            }
        ),
    ];
    let answer = (any::<[u8; 16]>(), ".{0,9}", ".{0,9}", result);
    let answer = answer.prop_map(|(session, tenant, id, result)| {
        let identity = IdentityKey::new(id).with_tenant(tenant);
        ClientAnswer::new(SessionId::from_bytes(session), identity, result)
    });
    prop_oneof![
        (any::<u64>(), any::<u64>()).prop_map(|(sessions, failed)| Outcome::done(sessions, failed)),
        Just(Outcome::NotUnderstood),
        Just(Outcome::Busy),
        prop::collection::vec(answer, 0..5).prop_map(Outcome::Answers),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(operation in operations(), ms: u32, outcome in outcomes()) {
        let command = Command::new(operation, Duration::from_millis(ms.into()));
        prop_assert_eq!(Command::decode(command.encode()).unwrap(), command);
        prop_assert_eq!(Outcome::decode(outcome.encode()).unwrap(), outcome);
    }

    #[test]
    fn what_is_changed_or_cut_is_refused_or_read_and_never_panics(
        operation in operations(), outcome in outcomes(), at: prop::sample::Index, with: u8,
    ) {
        let command = Command::new(operation, Duration::from_secs(1)).encode();
        for whole in [command, outcome.encode()] {
            let at = at.index(whole.len());
            let mut changed = whole.to_vec();
            changed[at] = with;
            for bytes in [whole.slice(..at), changed.into()] {
                let read = [
                    Command::decode(bytes.clone()).err(),
                    Outcome::decode(bytes).err(),
                ];
                for error in read.into_iter().flatten() {
                    prop_assert_eq!(error.kind(), BrokerErrorKind::InvalidMessage);
                }
            }
        }
    }

    #[test]
    fn garbage_is_refused_or_read_and_never_panics(bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        let read = [Command::decode(bytes.clone()).err(), Outcome::decode(bytes).err()];
        for error in read.into_iter().flatten() {
            prop_assert_eq!(error.kind(), BrokerErrorKind::InvalidMessage);
        }
    }
}

#[test]
fn what_is_of_a_later_version_or_makes_no_sense_is_refused() {
    for bytes in [
        &b""[..],
        b"\x00\0\0\0\x01",
        b"\x05\0\0\0\x01{}",
        b"\x07\0\0\0\x01",
        b"\x01\0\0\0\x01\x03",
        // No such close code, no room, no UTF-8.
        b"\x01\0\0\0\x01\x03\xed",
        b"\x02\0\0\0\x01",
        b"\x03\0\0\0\x01\xff",
    ] {
        assert!(
            Command::decode(Bytes::from_static(bytes)).is_err(),
            "{bytes:?}"
        );
    }
    for bytes in [&b""[..], b"\x00\0", b"\x04", b"\x03\0"] {
        assert!(
            Outcome::decode(Bytes::from_static(bytes)).is_err(),
            "{bytes:?}"
        );
    }
    let longer = [&Outcome::done(7, 1).encode()[..], b"more"].concat();
    assert_eq!(Outcome::decode(longer.into()).unwrap(), Outcome::done(7, 1));
}

#[test]
fn a_reason_without_end_is_cut_between_characters() {
    let disconnect = Operation::Disconnect {
        code: CloseCode::NORMAL,
        reason: "€".repeat(90).into(),
    };
    let sent = Command::new(disconnect, Duration::MAX);
    let read = Command::decode(sent.encode()).unwrap();
    let Operation::Disconnect { reason, .. } = read.operation else {
        panic!("it was to disconnect");
    };
    assert_eq!(reason.as_str(), "€".repeat(41));
    assert_eq!(read.within, Duration::from_millis(u32::MAX.into()));
}
