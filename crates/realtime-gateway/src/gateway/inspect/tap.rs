//! One identity's messages, as they come and go, for a while.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::{Buf, Bytes};
use realtime_core::{IdentityKey, Message, SessionId, codec::Frame};
use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ControlError, ControlErrorKind,
    gateway::Gateway,
    guarded::{Whose, caught},
    session::Env,
    tap::{COPIED, Line, Seen, TAPPED, TAPS, What},
};

/// What a look at somebody's messages may take, whatever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TapLimits {
    /// How long: 60 s by default, 10 minutes at the most.
    pub time: Duration,
    /// How many messages: 1,000 by default, 10,000 at the most.
    pub messages: u32,
    /// How many bytes of them are shown: 1 MiB by default, 16 MiB at the most.
    pub bytes: usize,
}

/// A look at the messages of one identity's sessions on this node: what they send and get, from
/// [`Gateway::tap`]. It ends by itself, and when it is dropped.
#[derive(Debug)]
pub struct Tap {
    env: Arc<Env>,
    line: Arc<Line>,
    receiver: mpsc::Receiver<Seen>,
    stop: CancellationToken,
    left: TapLimits,
    end: Option<TapEnd>,
}

/// Why a [`Tap`] has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TapEnd {
    /// So many bytes were shown.
    Bytes,
    /// The gateway has ended.
    Closed,
    /// So many messages were shown.
    Messages,
    /// Its time is over.
    Time,
}

/// A message that was seen. Never that with which a client shows a token: its data is hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TappedMessage {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The session whose it is.
    pub session_id: SessionId,
    /// From the client or to it.
    pub direction: TapDirection,
    /// Its route; `None` where it isn't known: of what is long, and of dialects other than the codec's.
    pub route: Option<String>,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// The room to which it was sent, where that is so.
    pub room: Option<String>,
    /// The beginning of its data, at most 4 KiB, with what is no text replaced; the whole frame where
    /// the route isn't known. `None` where it is hidden, and where it was sent compressed and is
    /// more than 16 KiB so, or more than 1 MiB otherwise.
    pub data: Option<String>,
    /// How long it is as a whole, in bytes: the data of what came, and the frame of what is sent.
    pub bytes: usize,
    /// How many messages before it aren't shown, since they came faster than they were read.
    pub missed: u64,
}

/// From the client or to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TapDirection {
    /// The client has sent it, and it is about to be handled.
    In,
    /// The client is sent it: it was written, or waits in the queue.
    Out,
}

impl Default for TapLimits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            messages: 1_000,
            bytes: 1024 * 1024,
        }
    }
}

impl TapLimits {
    /// For so long.
    #[must_use]
    pub const fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// For so many messages.
    #[must_use]
    pub const fn messages(mut self, messages: u32) -> Self {
        self.messages = messages;
        self
    }

    /// What a tap makes of it: no more than the most.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            time: self.time.min(Duration::from_secs(600)),
            messages: self.messages.min(10_000),
            bytes: self.bytes.min(16 * 1024 * 1024),
        }
    }
}

impl Gateway {
    /// Looks at what one identity's sessions **on this node** send and are sent, from now on and for a
    /// while; sessions that come meanwhile are among them. It holds nobody up: what comes faster than
    /// it is read is [counted](TappedMessage::missed) and not shown. It looks at 256 sessions at the
    /// most, those that come and go counted together: of an identity that has more, such as that of all
    /// who are anonymous, the others are [left out](Tap::left_out).
    ///
    /// It shows messages that are about to be handled, answers, and what is sent. What comes and isn't
    /// handled isn't shown, though the answer to it is: what is no message, and what is more than the
    /// client may send.
    ///
    /// Who may see what people say is for the application to decide: offer it to nobody but those who
    /// may, and write down who did. The page of the facade's feature `admin` does both.
    ///
    /// # Errors
    /// Kind [`TooMany`](ControlErrorKind::TooMany) where 8 taps run on this node, and
    /// [`Closed`](ControlErrorKind::Closed) once the gateway shuts down.
    ///
    /// ```
    /// use realtime::{
    ///     Identity, IdentityKey, Json,
    ///     inspect::{TapDirection, TapLimits},
    /// };
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// let ann_s = IdentityKey::new("ann");
    /// let mut tap = gateway.tap(&ann_s, TapLimits::default().messages(1))?;
    /// gateway.send_to_identity(&ann_s, "news", Json("hello")).await?;
    /// let seen = tap.next().await.ok_or("nothing")?;
    /// assert_eq!((seen.direction, seen.route.as_deref()), (TapDirection::Out, Some("news")));
    /// assert!(tap.next().await.is_none(), "one message was asked for");
    /// # ann.receive_on("news").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tap(&self, identity: &IdentityKey, limits: TapLimits) -> Result<Tap, ControlError> {
        let node = self.node();
        if node.is_ending() {
            let context = "the gateway is shutting down, and nobody looks at it any more";
            return Err(ControlError::new(ControlErrorKind::Closed, context));
        }
        let left = limits.clamped();
        let until = Instant::now() + left.time;
        let begun = node.env.taps.begin(identity.clone(), until);
        let (line, receiver) = begun.ok_or_else(|| {
            let context = format!("expected at most {TAPS} taps at once; there are as many");
            ControlError::new(ControlErrorKind::TooMany, context)
        })?;
        // After it is known: who comes meanwhile is seen here or sees it.
        let (sessions, all) = node.hub.some_of(identity, TAPPED);
        line.leave_out(all - sessions.len());
        for session in sessions {
            session.tap(Arc::clone(&line));
        }
        Ok(Tap {
            env: Arc::clone(&node.env),
            line,
            receiver,
            stop: node.stop.clone(),
            left,
            end: None,
        })
    }
}

impl Tap {
    /// The next message; `None` once it has [ended](Self::end).
    ///
    /// # Cancel safety
    /// Safe: dropped before it returns, no message is lost.
    pub async fn next(&mut self) -> Option<TappedMessage> {
        if self.end.is_some() {
            return None;
        }
        // First, since there may always be a message.
        if Instant::now() >= self.line.until() {
            return self.over(TapEnd::Time);
        }
        if self.left.messages == 0 || self.left.bytes == 0 {
            let of_messages = self.left.messages == 0;
            return self.over(if of_messages {
                TapEnd::Messages
            } else {
                TapEnd::Bytes
            });
        }
        let next = self.stop.run_until_cancelled(self.receiver.recv());
        let seen = match timeout_at(self.line.until(), next).await {
            Err(_over) => return self.over(TapEnd::Time),
            Ok(None | Some(None)) => return self.over(TapEnd::Closed),
            Ok(Some(Some(seen))) => seen,
        };
        self.line.taken(&seen);
        let message = self.shown(seen);
        self.left.messages -= 1;
        let shown = message.data.as_ref().map_or(0, String::len);
        self.left.bytes = self.left.bytes.saturating_sub(shown);
        Some(message)
    }

    /// Why it has ended; `None` while it goes on.
    #[must_use]
    pub const fn end(&self) -> Option<TapEnd> {
        self.end
    }

    /// How many sessions it looks at, or has looked at: 256 at the most.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.line.sessions()
    }

    /// How many sessions of the identity on this node it doesn't look at, since those are enough.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.line.left_out()
    }

    fn over(&mut self, end: TapEnd) -> Option<TappedMessage> {
        self.end = Some(end);
        self.receiver.close();
        self.env.taps.end(&self.line);
        None
    }

    fn shown(&self, seen: Seen) -> TappedMessage {
        let since = seen.at.duration_since(SystemTime::UNIX_EPOCH);
        let mut shown = TappedMessage {
            at_ms: since.map_or(0, |since| since.as_millis() as u64),
            session_id: seen.session,
            direction: TapDirection::In,
            route: None,
            id: None,
            room: None,
            data: None,
            bytes: 0,
            missed: seen.missed,
        };
        match seen.what {
            What::Heard {
                route,
                id,
                data,
                bytes,
            } => {
                (shown.route, shown.id, shown.bytes) = (Some(route), id, bytes);
                shown.data = data.map(|data| String::from_utf8_lossy(&data).into_owned());
            }
            What::Sent {
                frame,
                bytes,
                speaks_codec,
            } => {
                (shown.direction, shown.bytes) = (TapDirection::Out, bytes);
                let Some(frame) = uncompressed(frame) else {
                    return shown;
                };
                match self.read(&frame, speaks_codec) {
                    Some(message) => {
                        shown.route = Some(message.route().to_owned());
                        shown.id = message.message_id().map(|id| id.to_string());
                        shown.room = message.room().map(ToString::to_string);
                        shown.data = Some(text(message.data().as_bytes()));
                    }
                    None => {
                        let said = body(&frame).map_or(&frame[..], |(_, body)| body);
                        shown.data = Some(text(said));
                    }
                }
            }
        }
        shown
    }

    /// The message in a frame, where it is there as a whole and in the codec.
    fn read(&self, frame: &Bytes, speaks_codec: bool) -> Option<Message> {
        let (kind, body) = body(frame).filter(|_| speaks_codec)?;
        let frame = match kind {
            TEXT => Frame::Text(std::str::from_utf8(body).ok()?.into()),
            _ => Frame::Binary(Bytes::copy_from_slice(body)),
        };
        let codec = self.env.dialects.codec();
        caught(Whose::Codec, || codec.decode(frame)).ok()?.ok()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.env.taps.end(&self.line);
    }
}

/// The same message in a plain frame; `None` where it is compressed and can't be read, mostly because
/// only its beginning was copied.
fn uncompressed(frame: Bytes) -> Option<Bytes> {
    #[cfg(feature = "deflate")]
    {
        use realtime_websocket::{Event, Kind, frame::server_frame};

        use crate::compression::{is_compressed, plain};
        if is_compressed(&frame) {
            return match plain(&frame)? {
                Event::Text(text) => Some(server_frame(Kind::Text, text.as_bytes())),
                Event::Binary(bytes) => Some(server_frame(Kind::Binary, &bytes)),
                _ => None,
            };
        }
    }
    Some(frame)
}

/// The opcode of a text message.
const TEXT: u8 = 1;

/// The opcode and what is there of the body of a server's frame, which is of one piece and without a
/// mask.
fn body(frame: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = frame;
    let opcode = rest.try_get_u8().ok()? & 0x0f;
    match rest.try_get_u8().ok()? {
        126 => drop(rest.try_get_u16().ok()?),
        127 => drop(rest.try_get_u64().ok()?),
        _ => {}
    }
    Some((opcode, rest))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(COPIED)]).into_owned()
}
