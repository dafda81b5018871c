//! What one node asks the others to do to their sessions, and what they answer: the bodies of
//! envelopes of the kinds [`Control`](super::envelope::EnvelopeKind::Control) and
//! [`Receipt`](super::envelope::EnvelopeKind::Receipt).
//!
//! The envelope says to which sessions, and under which number the answer is expected. The body is
//! a form of its own, whatever the codec:
//!
//! ```text
//!   control: operation u8 │ milliseconds u32 │ what the operation needs
//!   receipt: outcome   u8 │ what there is to say
//! ```
//! Numbers are big-endian. `docs/wire.md` has it all, with examples.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    BrokerError, BrokerErrorKind,
    envelope::{cut, cut_off, invalid, put_name, short, take, text},
};
use crate::{
    ClientError, CloseCode, IdentityKey, IdentityUpdate, Payload, RoomName, SessionId, Text,
    codec::{Frame, FrameKind},
    revocation::{Revocation, RevocationError},
};

const DISCONNECT: u8 = 1;
const JOIN: u8 = 2;
const LEAVE: u8 = 3;
const REQUEST: u8 = 4;
const REVOKE: u8 = 5;
const UPDATE: u8 = 6;

const DONE: u8 = 0;
const NOT_UNDERSTOOD: u8 = 1;
const BUSY: u8 = 2;
const ANSWERS: u8 = 3;

const TEXT: u8 = 0;
const BINARY: u8 = 1;
const REFUSED: u8 = 2;

/// In place of 1 for a temporary refusal: it says after how long.
const RETRY_AFTER: u8 = 2;

/// Beside what it is otherwise: a refusal has data.
const WITH_DATA: u8 = 4;

/// The longest reason of a close frame, in bytes.
const REASON: usize = 123;

/// What a node asks the others to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Command {
    /// What is to be done to each session that the envelope is for.
    pub operation: Operation,
    /// How much longer the one who asks waits. It travels in milliseconds.
    pub within: Duration,
}

/// What is to be done to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// It is closed. A reason over 123 bytes is cut.
    Disconnect {
        /// The code of the close frame.
        code: CloseCode,
        /// The reason in it.
        reason: Text,
    },
    /// It becomes a member of a room.
    Join(RoomName),
    /// It leaves a room.
    Leave(RoomName),
    /// Its client is asked: the message that it gets, as the envelope's codec has encoded it for a frame
    /// of the envelope's kind.
    Request(Bytes),
    /// It is closed, if this applies to what its client has shown; and who shows it later isn't
    /// admitted.
    Revoke(Revocation),
    /// This changes of whom it belongs to.
    Update(IdentityUpdate),
}

/// What a node has to say of what it was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was done.
    #[non_exhaustive]
    Done {
        /// To how many sessions.
        sessions: u64,
        /// With how many of them it failed.
        failed: u64,
    },
    /// The node doesn't know how: it is of another version, or speaks another codec.
    NotUnderstood,
    /// The node has too much of this to do already.
    Busy,
    /// What some clients have answered. More follows, and at last [`Done`](Self::Done).
    Answers(Vec<ClientAnswer>),
}

/// What a client has answered to a request of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientAnswer {
    /// The session that was asked.
    pub session: SessionId,
    /// Whose it is.
    pub identity: IdentityKey,
    /// The message that came, as the envelope's codec encodes it; or the client's refusal.
    pub result: Result<Frame, ClientError>,
}

impl ClientAnswer {
    /// What this session's client has answered.
    #[must_use]
    pub const fn new(
        session: SessionId,
        identity: IdentityKey,
        result: Result<Frame, ClientError>,
    ) -> Self {
        Self {
            session,
            identity,
            result,
        }
    }

    /// The bytes that it takes in a receipt.
    #[must_use]
    pub fn size(&self) -> usize {
        let names = 16 + 4 + self.identity.tenant().len() + self.identity.id().len();
        let said = match &self.result {
            Ok(message) => message.as_bytes().len(),
            Err(refusal) => {
                let wait = refusal.retry_after().map_or(0, |_| 4);
                let data = refusal.data().map_or(0, |data| 4 + data.len());
                3 + wait + data + short(refusal.code()).len() + refusal.message().len()
            }
        };
        names + 1 + 4 + said
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_slice(&self.session.to_bytes());
        put_name(out, short(self.identity.tenant()));
        put_name(out, short(self.identity.id()));
        match &self.result {
            Ok(message) => {
                out.put_u8(match message.kind() {
                    FrameKind::Text => TEXT,
                    FrameKind::Binary => BINARY,
                });
                let message = message.as_bytes();
                out.put_u32(message.len() as u32);
                out.put_slice(message);
            }
            Err(refusal) => {
                let code = short(refusal.code());
                out.put_u8(REFUSED);
                let retry_after = refusal.retry_after().map(milliseconds);
                let wait = retry_after.map_or(0, |_| 4);
                let data = refusal.data().map(Payload::as_bytes);
                let with_data = data.map_or(0, |data| 4 + data.len());
                let length = 3 + wait + with_data + code.len() + refusal.message().len();
                out.put_u32(length as u32);
                let temporary = match retry_after {
                    Some(_) => RETRY_AFTER,
                    None => u8::from(refusal.is_temporary()),
                };
                out.put_u8(temporary | data.map_or(0, |_| WITH_DATA));
                if let Some(ms) = retry_after {
                    out.put_u32(ms);
                }
                if let Some(data) = data {
                    out.put_u32(data.len() as u32);
                    out.put_slice(data);
                }
                put_name(out, code);
                out.put_slice(refusal.message().as_bytes());
            }
        }
    }

    fn read(bytes: &mut Bytes) -> Result<Self, BrokerError> {
        let mut session = [0; 16];
        bytes
            .try_copy_to_slice(&mut session)
            .map_err(|_| cut_off())?;
        let (tenant, id) = (text(take(bytes)?)?, text(take(bytes)?)?);
        let kind = bytes.try_get_u8().map_err(|_| cut_off())?;
        let length = bytes.try_get_u32().map_err(|_| cut_off())? as usize;
        if length > bytes.len() {
            return Err(cut_off());
        }
        let mut said = bytes.split_to(length);
        let result = match kind {
            TEXT => Ok(Frame::Text(text(said)?)),
            BINARY => Ok(Frame::Binary(said)),
            REFUSED => {
                let flags = said.try_get_u8().map_err(|_| cut_off())?;
                let temporary = flags & !WITH_DATA;
                let retry_after = match temporary {
                    RETRY_AFTER => Some(said.try_get_u32().map_err(|_| cut_off())?),
                    _ => None,
                };
                let data = match flags & WITH_DATA {
                    0 => None,
                    _ => {
                        let length = said.try_get_u32().map_err(|_| cut_off())? as usize;
                        if length > said.len() {
                            return Err(cut_off());
                        }
                        Some(json_or_bytes(said.split_to(length)))
                    }
                };
                let code = text(take(&mut said)?)?;
                let refusal = ClientError::new(code.to_string(), text(said)?.to_string());
                let refusal = match data {
                    Some(data) => refusal.with_data(data),
                    None => refusal,
                };
                Err(match (temporary, retry_after) {
                    (0, _) => refusal,
                    (_, None) => refusal.temporary(),
                    (_, Some(ms)) => refusal.with_retry_after(Duration::from_millis(ms.into())),
                })
            }
            other => {
                return Err(invalid(format!(
                    "expected what a client has answered, or its refusal; got kind {other}"
                )));
            }
        };
        Ok(Self {
            session: SessionId::from_bytes(session),
            identity: IdentityKey::from_parts(&tenant, &id),
            result,
        })
    }
}

impl Command {
    /// An operation, for one who waits so long.
    #[must_use]
    pub const fn new(operation: Operation, within: Duration) -> Self {
        Self { operation, within }
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(match &self.operation {
            Operation::Disconnect { .. } => DISCONNECT,
            Operation::Join(_) => JOIN,
            Operation::Leave(_) => LEAVE,
            Operation::Request(_) => REQUEST,
            Operation::Revoke(_) => REVOKE,
            Operation::Update(_) => UPDATE,
        });
        out.put_u32(milliseconds(self.within));
        match &self.operation {
            Operation::Disconnect { code, reason } => {
                out.put_u16(code.as_u16());
                out.put_slice(cut(reason, REASON).as_bytes());
            }
            Operation::Join(room) | Operation::Leave(room) => {
                out.put_slice(room.as_str().as_bytes());
            }
            Operation::Request(message) => out.put_slice(message),
            Operation::Revoke(revocation) => put_json(&mut out, revocation),
            Operation::Update(update) => put_json(&mut out, update),
        }
        out.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    /// Kind [`InvalidMessage`](super::BrokerErrorKind::InvalidMessage) for anything else, such as an
    /// operation of a later version.
    pub fn decode(mut bytes: Bytes) -> Result<Self, BrokerError> {
        let operation = bytes.try_get_u8().map_err(|_| cut_off())?;
        let within = bytes.try_get_u32().map_err(|_| cut_off())?;
        let room = |bytes: Bytes| {
            let room = RoomName::read(text(bytes)?);
            room.map_err(|wrong| invalid(wrong.to_string()))
        };
        let operation = match operation {
            DISCONNECT => {
                let code = bytes.try_get_u16().map_err(|_| cut_off())?;
                let code = CloseCode::new(code).map_err(|wrong| invalid(wrong.to_string()))?;
                let reason = text(bytes)?;
                if reason.len() > REASON {
                    return Err(invalid(format!(
                        "expected a reason of at most {REASON} bytes; got {}",
                        reason.len()
                    )));
                }
                Operation::Disconnect { code, reason }
            }
            JOIN => Operation::Join(room(bytes)?),
            LEAVE => Operation::Leave(room(bytes)?),
            REQUEST => Operation::Request(bytes),
            REVOKE => {
                let revocation: Revocation = json(&bytes)?;
                let fits = RevocationError::check_length(&revocation);
                fits.map_err(|wrong| invalid(wrong.to_string()))?;
                Operation::Revoke(revocation)
            }
            UPDATE if bytes.len() > IdentityUpdate::MAX_BYTES => {
                return Err(invalid(format!(
                    "expected a change of an identity of at most {} bytes; got {}",
                    IdentityUpdate::MAX_BYTES,
                    bytes.len()
                )));
            }
            UPDATE => Operation::Update(json(&bytes)?),
            other => {
                return Err(invalid(format!(
                    "expected a known operation; got {other}, which may be of a later version"
                )));
            }
        };
        let within = Duration::from_millis(within.into());
        Ok(Self { operation, within })
    }
}

impl Outcome {
    /// It was done to so many sessions, and failed with some of them.
    #[must_use]
    pub const fn done(sessions: u64, failed: u64) -> Self {
        Self::Done { sessions, failed }
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(32);
        match self {
            Self::Done { sessions, failed } => {
                out.put_u8(DONE);
                out.put_u64(*sessions);
                out.put_u64(*failed);
            }
            Self::NotUnderstood => out.put_u8(NOT_UNDERSTOOD),
            Self::Busy => out.put_u8(BUSY),
            Self::Answers(answers) => {
                out.reserve(answers.iter().map(ClientAnswer::size).sum());
                out.put_u8(ANSWERS);
                for answer in answers {
                    answer.put(&mut out);
                }
            }
        }
        out.freeze()
    }

    /// Reads what [`encode`](Self::encode) has written. What later versions have to add behind the
    /// numbers is skipped.
    ///
    /// # Errors
    /// Kind [`InvalidMessage`](super::BrokerErrorKind::InvalidMessage) for anything else.
    pub fn decode(mut bytes: Bytes) -> Result<Self, BrokerError> {
        match bytes.try_get_u8().map_err(|_| cut_off())? {
            DONE => {
                let sessions = bytes.try_get_u64().map_err(|_| cut_off())?;
                let failed = bytes.try_get_u64().map_err(|_| cut_off())?;
                Ok(Self::Done { sessions, failed })
            }
            NOT_UNDERSTOOD => Ok(Self::NotUnderstood),
            BUSY => Ok(Self::Busy),
            ANSWERS => {
                let mut answers = Vec::new();
                while !bytes.is_empty() {
                    answers.push(ClientAnswer::read(&mut bytes)?);
                }
                Ok(Self::Answers(answers))
            }
            other => Err(invalid(format!(
                "expected a known outcome; got {other}, which may be of a later version"
            ))),
        }
    }
}

/// Data of an error, which is JSON where it can be: its kind doesn't travel.
fn json_or_bytes(data: Bytes) -> Payload {
    let text = std::str::from_utf8(&data).map(|text| Payload::from(text.to_owned()));
    let json = text.ok().and_then(|text| text.into_json().ok());
    json.unwrap_or_else(|| Payload::from(data))
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// What is too varied for a form of its own is written as JSON. Maps with keys that are no strings
/// are what JSON can't write, and there are none in it.
fn put_json(out: &mut BytesMut, value: &impl Serialize) {
    let written = serde_json::to_vec(value);
    out.put_slice(&written.unwrap_or_default());
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BrokerError> {
    serde_json::from_slice(bytes).map_err(|wrong| {
        let context = "expected an operation that is written as JSON, and that this version knows";
        BrokerError::new(BrokerErrorKind::InvalidMessage, context).with_source(wrong)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::time::SystemTime;

    use super::*;

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
            (any::<u64>(), any::<u64>())
                .prop_map(|(sessions, failed)| Outcome::done(sessions, failed)),
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
}
