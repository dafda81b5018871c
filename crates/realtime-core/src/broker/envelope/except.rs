//! Who doesn't get a message though it is for them, and how that is written.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::target::identity;
use crate::{
    IdentityKey, SessionId,
    broker::{
        BrokerError,
        fields::{invalid, put_name, take},
    },
};

const SESSION: u8 = 0;
const IDENTITY: u8 = 1;

/// Who doesn't get a message though it is for them.
///
/// The bytes: a kind (`u8`), a length (`u16`) and a value: 0 and the 16 bytes of a session's id, or
/// 1, the tenant with a length before it, and the id of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Except {
    /// One session.
    Session(SessionId),
    /// The sessions of one identity.
    Identity(IdentityKey),
}

impl Except {
    /// How many an envelope names at the most.
    pub const MAX: usize = 32;

    /// Whether it can name somebody: no gateway admits an identity that is longer.
    fn is_written(&self) -> bool {
        match self {
            Self::Session(_) => true,
            Self::Identity(key) => !key.is_too_long(),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Session(_) => 16,
            Self::Identity(key) => 2 + key.tenant().len() + key.id().len(),
        }
    }
}

impl From<SessionId> for Except {
    fn from(session: SessionId) -> Self {
        Self::Session(session)
    }
}

impl From<IdentityKey> for Except {
    fn from(identity: IdentityKey) -> Self {
        Self::Identity(identity)
    }
}

impl From<&IdentityKey> for Except {
    fn from(identity: &IdentityKey) -> Self {
        Self::Identity(identity.clone())
    }
}

fn written(all: &[Except]) -> impl Iterator<Item = &Except> {
    let written = all.iter().filter(|except| except.is_written());
    written.take(Except::MAX)
}

/// The bytes that all of them take.
pub(super) fn size(all: &[Except]) -> usize {
    written(all).map(|except| 3 + except.size()).sum()
}

pub(super) fn put(all: &[Except], out: &mut BytesMut) {
    for except in written(all) {
        match except {
            Except::Session(id) => {
                out.put_u8(SESSION);
                out.put_u16(16);
                out.put_slice(&id.to_bytes());
            }
            Except::Identity(key) => {
                out.put_u8(IDENTITY);
                out.put_u16(except.size() as u16);
                put_name(out, key.tenant());
                out.put_slice(key.id().as_bytes());
            }
        }
    }
}

pub(super) fn read(mut bytes: Bytes) -> Result<Vec<Except>, BrokerError> {
    let mut all = Vec::new();
    while let Ok(kind) = bytes.try_get_u8() {
        let value = take(&mut bytes)?;
        all.push(match (kind, <[u8; 16]>::try_from(&value[..])) {
            (SESSION, Ok(id)) => Except::Session(SessionId::from_bytes(id)),
            (IDENTITY, _) => Except::Identity(identity(&value)?),
            // Whoever it is would get what is not for them.
            _ => {
                return Err(invalid(format!(
                    "expected a session or an identity that doesn't get the message; got an \
                     exception of kind {kind} and {} bytes",
                    value.len()
                )));
            }
        });
    }
    match all.len() {
        0..=Except::MAX => Ok(all),
        more => Err(invalid(format!(
            "expected at most {} who don't get the message; got {more}",
            Except::MAX
        ))),
    }
}
