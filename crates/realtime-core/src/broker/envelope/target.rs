//! Whom a message is for, and how that is written.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    IdentityKey, RoomName, SessionId, Text,
    broker::{
        BrokerError,
        fields::{cut_off, invalid, not_text, put_name, short, take, text},
    },
};

const ALL: u8 = 0;
const IDENTITY: u8 = 1;
const ROOMS: u8 = 2;
const TENANT: u8 = 3;
const SESSION: u8 = 4;

/// Whom a message is for.
///
/// The bytes: nothing for all; the tenant, with a length before it, and the id for an identity; for
/// rooms their names, with a length before each; for a tenant its name; for a session the 16 bytes of
/// its id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// Every session.
    All,
    /// The sessions of one identity.
    Identity(IdentityKey),
    /// The members of one or more rooms, each session once: at most
    /// [`MAX_ROOMS`](Self::MAX_ROOMS).
    Rooms(Vec<RoomName>),
    /// One session.
    Session(SessionId),
    /// The sessions of one tenant.
    Tenant(Text),
}

impl Target {
    /// How many rooms a target names at the most: so all of them fit whatever they are called.
    pub const MAX_ROOMS: usize = 64;

    #[inline]
    pub(super) const fn kind(&self) -> u8 {
        match self {
            Self::All => ALL,
            Self::Identity(_) => IDENTITY,
            Self::Rooms(_) => ROOMS,
            Self::Session(_) => SESSION,
            Self::Tenant(_) => TENANT,
        }
    }

    /// The bytes that it takes.
    #[inline]
    pub(super) fn size(&self) -> usize {
        match self {
            Self::All => 0,
            Self::Identity(key) => 2 + short(key.tenant()).len() + short(key.id()).len(),
            Self::Rooms(rooms) => {
                let names = written(rooms).map(|room| 2 + room.as_str().len());
                names.sum()
            }
            Self::Session(_) => 16,
            Self::Tenant(tenant) => short(tenant).len(),
        }
    }

    #[inline]
    pub(super) fn put(&self, out: &mut BytesMut) {
        match self {
            Self::All => {}
            Self::Identity(key) => {
                put_name(out, short(key.tenant()));
                out.put_slice(short(key.id()).as_bytes());
            }
            Self::Rooms(rooms) => {
                for room in written(rooms) {
                    put_name(out, room.as_str());
                }
            }
            Self::Session(id) => out.put_slice(&id.to_bytes()),
            Self::Tenant(tenant) => out.put_slice(short(tenant).as_bytes()),
        }
    }

    #[inline]
    pub(super) fn read(kind: u8, mut bytes: Bytes) -> Result<Self, BrokerError> {
        match kind {
            ALL if bytes.is_empty() => Ok(Self::All),
            IDENTITY => Ok(Self::Identity(identity(&bytes)?)),
            ROOMS => {
                let mut rooms = Vec::new();
                while !bytes.is_empty() {
                    let name = text(take(&mut bytes)?)?;
                    let name = RoomName::read(name);
                    rooms.push(name.map_err(|wrong| invalid(wrong.to_string()))?);
                }
                match rooms.len() {
                    1..=Self::MAX_ROOMS => Ok(Self::Rooms(rooms)),
                    count => Err(invalid(format!(
                        "expected a target of 1 to {} rooms; got {count}",
                        Self::MAX_ROOMS
                    ))),
                }
            }
            TENANT => Ok(Self::Tenant(text(bytes)?)),
            SESSION => match <[u8; 16]>::try_from(&bytes[..]) {
                Ok(id) => Ok(Self::Session(SessionId::from_bytes(id))),
                Err(_) => Err(invalid(format!(
                    "expected the 16 bytes of a session's id; got {}",
                    bytes.len()
                ))),
            },
            _ => Err(invalid(format!(
                "expected a known target; got one of kind {kind}"
            ))),
        }
    }
}

fn written(rooms: &[RoomName]) -> impl Iterator<Item = &RoomName> {
    rooms.iter().take(Target::MAX_ROOMS)
}

/// Read in place: it is copied into one piece anyway.
pub(super) fn identity(bytes: &[u8]) -> Result<IdentityKey, BrokerError> {
    let (length, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (tenant, id) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    match (str::from_utf8(tenant), str::from_utf8(id)) {
        (Ok(tenant), Ok(id)) => Ok(IdentityKey::from_parts(tenant, id)),
        _ => Err(not_text()),
    }
}
