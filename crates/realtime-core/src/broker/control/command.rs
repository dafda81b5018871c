//! What a node asks the others to do, and how that is written.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use super::milliseconds;
use crate::{
    CloseCode, IdentityUpdate, RoomName, Text,
    broker::{
        BrokerError, BrokerErrorKind,
        fields::{cut, cut_off, invalid, text},
    },
    revocation::{Revocation, RevocationError},
};

const DISCONNECT: u8 = 1;
const JOIN: u8 = 2;
const LEAVE: u8 = 3;
const REQUEST: u8 = 4;
const REVOKE: u8 = 5;
const UPDATE: u8 = 6;

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
    /// Kind [`InvalidMessage`](BrokerErrorKind::InvalidMessage) for anything else, such as an
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
