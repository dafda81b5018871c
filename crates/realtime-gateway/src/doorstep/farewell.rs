//! A close frame in place of a session: why, and whether to come back.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use realtime_core::{BoxError, CloseCode, dialect::Closing, patient};
use realtime_websocket::{CloseFrame, frame};
use tokio::time::sleep;

use super::line::Line;
use crate::{
    ErrorStage,
    admission::Refusal,
    compression::Agreed,
    dialects::{DialectId, Encoder},
    node::Node,
    session_task::close_in,
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
    /// After what time the client is to come back.
    wait: Option<Duration>,
    /// It is the answer to the peer's own.
    in_return: bool,
}

impl Farewell {
    pub(super) const fn new(code: CloseCode, reason: &'static str) -> Self {
        Self {
            code: Some(code.as_u16()),
            reason: Cow::Borrowed(reason),
            wait: None,
            in_return: false,
        }
    }

    pub(super) fn with(code: u16, reason: String) -> Self {
        Self {
            code: Some(code),
            reason: reason.into(),
            wait: None,
            in_return: false,
        }
    }

    /// `None` for a refusal that is never told in this way.
    pub(crate) fn of(refusal: Refusal, node: &Node) -> Option<Self> {
        let (code, reason) = refusal.close()?;
        // Its code says to stay away.
        let comes_back = refusal != Refusal::IdentityFull;
        Some(Self {
            wait: refusal.wait(node.notice_left()).filter(|_| comes_back),
            ..Self::new(code, reason)
        })
    }

    pub(super) const fn code(&self) -> Option<u16> {
        self.code
    }

    /// As it is written, behind what the client's protocol says of it.
    fn frame(&self, node: &Node, encoder: &Encoder) -> Bytes {
        let Some(code) = self.code else {
            return frame::close_without_code();
        };
        match CloseCode::new(code) {
            Ok(code) if !self.in_return => {
                let closing = Closing::new(code, &self.reason).with_retry_after(self.wait);
                let report = |error: BoxError| node.report(ErrorStage::Message, error, None);
                close_in(encoder, &closing, report)
            }
            _ => frame::close(code, &self.reason),
        }
    }

    /// The same back.
    pub(super) fn in_return(close: Option<CloseFrame>) -> Self {
        let (code, reason) = close.map_or_else(Default::default, |close| {
            (Some(close.code), close.reason.into())
        });
        Self {
            code,
            reason,
            wait: None,
            in_return: true,
        }
    }
}

/// Closes a connection, within a moment.
pub(super) async fn say(node: &Node, line: Line, farewell: &Farewell, encoder: &Encoder) {
    let frame = farewell.frame(node, encoder);
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
                say(&node, line, &farewell, encoder).await;
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
