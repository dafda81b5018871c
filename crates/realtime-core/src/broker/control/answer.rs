//! What a client has answered to a request of the server, and how that is written in a receipt.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::milliseconds;
use crate::{
    ClientError, IdentityKey, Payload, SessionId,
    broker::{
        BrokerError,
        fields::{cut_off, invalid, put_name, short, take, text},
    },
    codec::{Frame, FrameKind},
};

const TEXT: u8 = 0;
const BINARY: u8 = 1;
const REFUSED: u8 = 2;

/// In place of 1 for a temporary refusal: it says after how long.
const RETRY_AFTER: u8 = 2;

/// Beside what it is otherwise: a refusal has data.
const WITH_DATA: u8 = 4;

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

    pub(super) fn put(&self, out: &mut BytesMut) {
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

    pub(super) fn read(bytes: &mut Bytes) -> Result<Self, BrokerError> {
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

/// Data of an error, which is JSON where it can be: its kind doesn't travel.
pub(super) fn json_or_bytes(data: Bytes) -> Payload {
    let text = std::str::from_utf8(&data).map(|text| Payload::from(text.to_owned()));
    let json = text.ok().and_then(|text| text.into_json().ok());
    json.unwrap_or_else(|| Payload::from(data))
}
