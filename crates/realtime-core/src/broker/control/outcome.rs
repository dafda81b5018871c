//! What a node says of what it was asked to do, and how that is written.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::ClientAnswer;
use crate::broker::{
    BrokerError,
    fields::{cut_off, invalid},
};

const DONE: u8 = 0;
const NOT_UNDERSTOOD: u8 = 1;
const BUSY: u8 = 2;
const ANSWERS: u8 = 3;

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
    /// Kind [`InvalidMessage`](crate::broker::BrokerErrorKind::InvalidMessage) for anything else.
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
