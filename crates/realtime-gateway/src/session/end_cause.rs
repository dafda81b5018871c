//! Every way in which a session ends: who ended it, with which code and reason, and what counts it.

use std::{any::Any, time::Duration};

use realtime_core::{BoxError, CloseCode, DisconnectInfo, Initiator};
use realtime_websocket::{CloseFrame, Violation};

use crate::{
    guarded::{Broken, Whose, panicked},
    stats::{Counter, Counters},
};

/// What the client of a session is told whose place a newer one has taken.
pub(crate) const REPLACED: &str = "a newer connection took its place";

/// What all clients are told when the node goes.
const SHUTTING_DOWN: &str = "the server is shutting down";

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum EndCause {
    /// The application closed it.
    Closed(CloseCode, String),
    /// The client sent a close frame.
    ClientClosed(Option<CloseFrame>),
    /// The connection ended without a close frame.
    ConnectionEnded(BoxError),
    ConnectionFailed(BoxError),
    /// The gateway shuts down, or its last handle is gone.
    Shutdown,
    /// The gateway drains, and its client is to come back after this.
    Drained(Duration),
    /// The node has too many sessions, and its client is to come back, to another one most likely.
    Rebalanced,
    /// What its client has shown has ended, and it has shown nothing fresh.
    Expired,
    /// What its client has shown was revoked.
    Revoked,
    /// What its client has shown isn't right.
    Unauthorized(&'static str),
    /// The queue was full, and the policy says to close; or memory was short.
    SlowConsumer,
    /// No byte came in time after a ping.
    PongTimeout,
    /// The peer accepted no byte of what waited for it.
    WriteTimeout,
    /// The peer broke the protocol.
    Violation(Violation),
    /// A binary frame for a codec of text, or the other way round.
    UnsupportedFrame(BoxError),
    /// Too many messages in a row that are not envelopes.
    TooManyMalformed,
    /// Too many messages that nobody can handle.
    TooManyMistakes,
    /// It has sent more than it may, and went on.
    TooManyRequests,
    /// Its identity has more sessions than it may, and this is the newest.
    TooManyConnections,
    /// The same, and this is the oldest.
    Replaced,
    /// A message that came too slowly.
    MessageTooSlow,
    /// The messages that wait on this node need too much memory, and this session's the most.
    TooMuchHeld,
    /// A connect hook refused it.
    Refused(BoxError),
    /// A connect hook panicked or took too long.
    ConnectFailed(Broken),
    PresenceUnavailable(BoxError),
    /// The client could not be told that there is a session.
    NotOpened(BoxError),
    /// A handler panicked, and no layer recovered it.
    HandlerPanicked,
    /// A codec's panic, say.
    TaskPanicked(Box<dyn Any + Send>),
}

impl EndCause {
    /// What counts it, where something does.
    pub(crate) fn counter<'c>(&self, stats: &'c Counters) -> Option<&'c Counter> {
        Some(match self {
            Self::Closed(..)
            | Self::ClientClosed(_)
            | Self::Shutdown
            | Self::Drained(_)
            | Self::Rebalanced => return None,
            Self::ConnectionEnded(_) | Self::ConnectionFailed(_) => &stats.lost,
            Self::Expired => &stats.expired,
            Self::Revoked => &stats.revoked,
            Self::Unauthorized(_) => &stats.unauthorized,
            Self::SlowConsumer => &stats.slow_consumers,
            Self::PongTimeout => &stats.pong_timeouts,
            Self::WriteTimeout => &stats.write_timeouts,
            Self::Violation(_)
            | Self::UnsupportedFrame(_)
            | Self::TooManyMalformed
            | Self::TooManyMistakes
            | Self::TooManyRequests
            | Self::MessageTooSlow
            | Self::TooMuchHeld => &stats.violations,
            Self::TooManyConnections | Self::Replaced => &stats.connections_limited,
            Self::Refused(_)
            | Self::ConnectFailed(_)
            | Self::PresenceUnavailable(_)
            | Self::NotOpened(_) => &stats.connects_refused,
            Self::HandlerPanicked | Self::TaskPanicked(_) => &stats.panics,
        })
    }

    /// The record of it, which hooks see and the close frame is made of.
    pub(crate) fn into_info(self) -> DisconnectInfo {
        use CloseCode as Code;
        use Initiator as By;

        let because = |by, code, reason: &str| DisconnectInfo::new(by, code, reason);
        match self {
            Self::Closed(code, reason) => DisconnectInfo::new(By::Server, Some(code), reason),
            Self::ClientClosed(Some(close)) => {
                let code = Code::new(close.code).ok();
                DisconnectInfo::new(By::Client, code, close.reason)
            }
            Self::ClientClosed(None) => because(By::Client, None, ""),
            Self::ConnectionEnded(error) => {
                let reason = "the connection ended without a close frame";
                because(By::Client, None, reason).with_error(error)
            }
            Self::ConnectionFailed(error) => {
                because(By::Error, None, "the connection failed").with_error(error)
            }
            Self::Shutdown => because(By::Shutdown, Some(Code::GOING_AWAY), SHUTTING_DOWN),
            Self::Drained(wait) => {
                let info = because(By::Shutdown, Some(Code::GOING_AWAY), SHUTTING_DOWN);
                info.with_retry_after(wait)
            }
            Self::Rebalanced => {
                let reason = "another node has more room";
                because(By::Server, Some(Code::RECONNECT), reason)
            }
            Self::Expired => because(By::Server, Some(Code::EXPIRED), "expired"),
            Self::Revoked => because(By::Server, Some(Code::UNAUTHORIZED), "revoked"),
            Self::Unauthorized(reason) => because(By::Server, Some(Code::UNAUTHORIZED), reason),
            Self::SlowConsumer => {
                let code = Some(Code::TRY_AGAIN_LATER);
                because(By::Backpressure, code, "slow consumer")
            }
            Self::PongTimeout => because(By::Error, Some(Code::PONG_TIMEOUT), "pong timeout"),
            Self::WriteTimeout => because(By::Error, None, "write timeout"),
            Self::Violation(violation) => {
                let code = Code::new(violation.close_code()).ok();
                DisconnectInfo::new(By::Error, code, violation.to_string()).with_error(violation)
            }
            Self::UnsupportedFrame(error) => {
                let code = Some(Code::UNSUPPORTED_DATA);
                let reason = "the codec does not accept this kind of frame";
                because(By::Error, code, reason).with_error(error)
            }
            Self::TooManyMalformed => {
                let code = Some(Code::POLICY_VIOLATION);
                because(By::Error, code, "too many malformed messages")
            }
            Self::TooManyMistakes => {
                let code = Some(Code::POLICY_VIOLATION);
                because(By::Error, code, "too many messages that can't be handled")
            }
            Self::TooManyRequests => {
                let code = Some(Code::TOO_MANY_REQUESTS);
                because(By::Error, code, "too many requests")
            }
            Self::TooManyConnections => {
                let code = Some(Code::TOO_MANY_CONNECTIONS);
                because(By::Server, code, "too many connections")
            }
            Self::Replaced => because(By::Server, Some(Code::REPLACED), REPLACED),
            Self::MessageTooSlow => {
                let code = Some(Code::POLICY_VIOLATION);
                because(By::Error, code, "the message came too slowly")
            }
            Self::TooMuchHeld => {
                let code = Some(Code::MESSAGE_TOO_BIG);
                because(By::Error, code, "too many messages wait on this server")
            }
            Self::Refused(error) => {
                let code = Some(Code::POLICY_VIOLATION);
                because(By::Server, code, "refused").with_error(error)
            }
            Self::ConnectFailed(error) => {
                let code = Some(Code::INTERNAL_ERROR);
                because(By::Error, code, "the connect hook failed").with_error(error)
            }
            Self::PresenceUnavailable(error) => {
                let code = Some(Code::TRY_AGAIN_LATER);
                because(By::Error, code, "presence is unavailable").with_error(error)
            }
            Self::NotOpened(error) => {
                let code = Some(Code::INTERNAL_ERROR);
                because(By::Error, code, "the session could not be opened").with_error(error)
            }
            Self::HandlerPanicked => because(
                By::Error,
                Some(Code::INTERNAL_ERROR),
                "the handler panicked",
            ),
            Self::TaskPanicked(panic) => {
                let code = Some(Code::INTERNAL_ERROR);
                let error = panicked(Whose::SessionTask, panic);
                because(By::Error, code, "the session's task panicked").with_error(error)
            }
        }
    }
}
