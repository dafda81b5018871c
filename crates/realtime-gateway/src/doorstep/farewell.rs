//! A close frame in place of a session: why, and whether to come back.

use std::{borrow::Cow, sync::Arc, time::Duration};

use realtime_core::CloseCode;
use realtime_websocket::{CloseFrame, frame};
use tokio::time::sleep;

use super::line::Line;
use crate::{
    admission::Refusal,
    compression::Agreed,
    dialects::{DialectId, Encoder},
    guarded::{Whose, caught},
    node::Node,
    patience::patient,
    transport::Upgrading,
};

/// How long a refused connection may take to become a WebSocket after the 101.
const UPGRADE: Duration = Duration::from_secs(2);
/// How long the close handshake may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long what is under way may take once the gateway has ended. A client that was told 101 is
/// owed the close frame.
const LATE: Duration = Duration::from_millis(250);

/// What a close frame says.
#[derive(Debug)]
pub(crate) struct Farewell {
    /// `None` for a frame without one.
    code: Option<u16>,
    reason: Cow<'static, str>,
    /// It is the answer to the peer's own.
    in_return: bool,
}

impl Farewell {
    pub(super) const fn new(code: CloseCode, reason: &'static str) -> Self {
        Self {
            code: Some(code.as_u16()),
            reason: Cow::Borrowed(reason),
            in_return: false,
        }
    }

    pub(super) fn with(code: u16, reason: String) -> Self {
        Self {
            code: Some(code),
            reason: reason.into(),
            in_return: false,
        }
    }

    /// `None` for a refusal that is never told in this way.
    pub(crate) fn of(refusal: Refusal) -> Option<Self> {
        let (code, reason) = refusal.close()?;
        Some(Self::new(code, reason))
    }

    pub(super) const fn code(&self) -> Option<u16> {
        self.code
    }

    /// Its code, as the client's protocol has it.
    fn code_in(&self, encoder: &Encoder) -> Option<u16> {
        let ours = self.code.filter(|_| !self.in_return);
        let Some(code) = ours.and_then(|code| CloseCode::new(code).ok()) else {
            return self.code;
        };
        let said = caught(Whose::Codec, || encoder.close_code(code));
        Some(said.unwrap_or(code).as_u16())
    }

    /// The same back.
    pub(super) fn in_return(close: Option<CloseFrame>) -> Self {
        let (code, reason) = close.map_or_else(Default::default, |close| {
            (Some(close.code), close.reason.into())
        });
        Self {
            code,
            reason,
            in_return: true,
        }
    }
}

/// Closes a connection, within a moment.
pub(super) async fn say(line: Line, farewell: &Farewell, encoder: &Encoder) {
    let frame = farewell
        .code_in(encoder)
        .map_or_else(frame::close_without_code, |code| {
            frame::close(code, &farewell.reason)
        });
    let _in_time = patient(GOODBYE, line.close(frame, farewell.in_return)).await;
}

/// Closes a connection that was told 101 and is refused, once that has become a WebSocket.
pub(crate) async fn refuse(
    node: Arc<Node>,
    upgrade: Upgrading,
    dialect: DialectId,
    farewell: Farewell,
) {
    let refused = async {
        match patient(UPGRADE, upgrade.upgraded()).await {
            Some(Ok(connection)) => {
                let encoder = node.env.dialects.of(dialect);
                // Nothing was agreed with one that is refused.
                let line = Line::new(connection, Agreed::default());
                say(line, &farewell, encoder).await;
            }
            Some(Err(_)) | None => node.stats().upgrades_failed.add(1),
        }
    };
    let ended = async {
        node.stop.cancelled().await;
        sleep(LATE).await;
    };
    tokio::select! {
        biased;
        () = refused => {}
        () = node.abort.cancelled() => {}
        () = ended => {}
    }
}
