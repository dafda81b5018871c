//! From messages to compressed frames.

use std::fmt;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

use super::{Flow, RATIO, RSV1, SMALL, SharedFrame, TAIL, Window};
use crate::{
    Kind,
    frame::{self, Opcode},
};

/// Compresses messages, for all connections or for one.
///
/// A compressor without takeover makes frames that stand for themselves: keep one for each thread,
/// and send each frame to everybody who may have it, which a [`SharedFrame`] knows. One with takeover
/// belongs to one connection, which then gets no compressed frame of another. Every frame that it
/// makes must be sent, in that order: where one is dropped, [`reset`](Self::reset) it.
///
/// A peer that has not agreed to compression fails the connection over a compressed frame.
///
/// A message below the floor, by default 512 bytes, and one that wouldn't shrink, is sent plain. So is
/// one over 64 KiB that would shrink to less than a 256th, which an
/// [`InflatingDecoder`](super::InflatingDecoder) takes for a bomb: a megabyte of zeros, say.
///
/// It takes about 249 KB and four times its window: 380 KB with the largest, 251 KB with the
/// smallest. Beside that it keeps up to 64 KiB for what comes out.
///
/// ```
/// use realtime_websocket::{Kind, deflate::{Compressor, Level}, frame};
///
/// let mut compressor = Compressor::new(Level::Fast);
/// let long = "so much ado ".repeat(100);
/// assert!(compressor.server_frame(Kind::Text, long.as_bytes()).len() < 50);
///
/// let short = compressor.server_frame(Kind::Text, b"hello");
/// assert_eq!(short, frame::server_frame(Kind::Text, b"hello"));
/// ```
pub struct Compressor {
    stream: Compress,
    flow: Flow,
    floor: usize,
    out: Vec<u8>,
}

/// How hard a compressor tries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// A third of the time, and what comes out is a third to a half larger.
    Fast,
    /// In between.
    #[default]
    Balanced,
    /// Up to half as much time again, and what comes out is rarely smaller.
    Small,
}

impl Level {
    const fn compression(self) -> Compression {
        Compression::new(match self {
            Self::Fast => 1,
            Self::Balanced => 6,
            Self::Small => 9,
        })
    }
}

impl Compressor {
    /// Below so many bytes a message isn't compressed.
    const FLOOR: usize = 512;
    /// So much of the output's buffer is kept for the next message.
    const KEPT: usize = 64 * 1024;
    /// What may come behind the data of a message that doesn't shrink.
    const MARGIN: usize = 16;

    /// For frames that are shared: with the largest window, and without takeover.
    #[must_use]
    pub fn new(level: Level) -> Self {
        Self::with_window(Window::MAX, level)
    }

    /// For frames that are shared by those who have agreed to this window or a larger one.
    ///
    /// ```
    /// use realtime_websocket::{Kind, deflate::{Compressor, Level, Policy, Window}};
    ///
    /// let policy = Policy::default().with_send_window(Window::MIN);
    /// let offered = "permessage-deflate; server_max_window_bits=10";
    /// let agreed = policy.answer([offered.as_bytes()]).unwrap().agreed();
    /// assert_eq!(agreed.send.map(|send| send.window), Some(Window::MIN));
    ///
    /// let mut compressor = Compressor::with_window(Window::MIN, Level::default());
    /// let text = "so much ado ".repeat(1_000);
    /// assert!(compressor.server_frame(Kind::Text, text.as_bytes()).len() < text.len() / 20);
    /// ```
    #[must_use]
    pub fn with_window(window: Window, level: Level) -> Self {
        let shared = Flow {
            window,
            takeover: false,
        };
        Self::with_flow(shared, level)
    }

    /// For one connection, with what was [agreed](super::Agreed::send) for it.
    #[must_use]
    pub fn with_flow(flow: Flow, level: Level) -> Self {
        let level = level.compression();
        Self {
            stream: Compress::new_with_window_bits(level, false, flow.window.bits()),
            flow,
            floor: Self::FLOOR,
            out: Vec::new(),
        }
    }

    /// Sets the bytes from which on a message is compressed. Default 512.
    #[must_use]
    pub const fn with_floor(mut self, bytes: usize) -> Self {
        self.floor = bytes;
        self
    }

    /// Forgets what it has compressed: the next frame refers to nothing before it. For one with
    /// takeover, where a frame that it has made is not sent after all: the peer lacks what the next
    /// would refer to.
    ///
    /// ```
    /// use realtime_websocket::{Event, Kind, Limits, Role};
    /// use realtime_websocket::deflate::{Compressor, InflatingDecoder, Level, Policy};
    ///
    /// let policy = Policy::default().with_send_takeover(true).with_receive_takeover(true);
    /// let agreed = policy.answer([policy.offer().as_bytes()]).unwrap().agreed();
    /// let mut compressor = Compressor::with_flow(agreed.send.unwrap(), Level::default());
    /// let text = "so much ado ".repeat(100);
    ///
    /// let _dropped = compressor.server_frame(Kind::Text, text.as_bytes());
    /// compressor.reset();
    /// let sent = compressor.server_frame(Kind::Text, text.as_bytes());
    ///
    /// let mut client = InflatingDecoder::new(Role::Client, Limits::default(), Some(agreed));
    /// assert_eq!(client.decode(&mut &sent[..]), Ok(Some(Event::Text(text))));
    /// ```
    pub fn reset(&mut self) {
        self.stream.reset();
    }

    /// The memory that it holds, in bytes, as measured with zlib-rs: an estimate.
    #[must_use]
    pub const fn memory(&self) -> usize {
        248_960 + 4 * self.flow.window.bytes() + self.out.capacity()
    }

    /// A server's frame that holds a message: compressed, or [plain](frame::server_frame). For a peer
    /// that has agreed; for many of them, and others, there is [`shared_frame`](Self::shared_frame).
    #[must_use]
    pub fn server_frame(&mut self, kind: Kind, payload: &[u8]) -> Bytes {
        self.smaller_server_frame(kind, payload)
            .unwrap_or_else(|| frame::server_frame(kind, payload))
    }

    /// A server's frame for all connections, whatever each has agreed to. One with takeover makes none
    /// that is compressed.
    ///
    /// ```
    /// use realtime_websocket::{Kind, deflate::{Compressor, Level, Policy}, frame};
    ///
    /// let message = "[1, 2, 3, 4, 5, 6, 7, 8, 9]".repeat(30);
    /// let shared = Compressor::new(Level::default()).shared_frame(Kind::Text, message.as_bytes());
    ///
    /// let answer = Policy::default().answer([&b"permessage-deflate"[..]]);
    /// let agreed = answer.map(|answer| answer.agreed());
    /// assert!(shared.for_peer(agreed).len() < 50);
    /// assert_eq!(shared.for_peer(None), &frame::server_frame(Kind::Text, message.as_bytes()));
    /// ```
    #[must_use]
    pub fn shared_frame(&mut self, kind: Kind, payload: &[u8]) -> SharedFrame {
        let compressed = match self.flow.takeover {
            true => None,
            false => self.smaller_server_frame(kind, payload),
        };
        SharedFrame::new(
            frame::server_frame(kind, payload),
            compressed,
            payload.len(),
        )
    }

    /// A server's frame that holds a message compressed, or `None` where the plain one is to be sent.
    /// For a fan-out that builds the plain frame anyway, and otherwise than
    /// [`shared_frame`](Self::shared_frame) does.
    ///
    /// ```
    /// use realtime_websocket::{Kind, deflate::{Compressor, Level}, frame};
    ///
    /// let message = "[1, 2, 3, 4, 5, 6, 7, 8, 9]".repeat(30);
    /// let plain = frame::server_frame(Kind::Text, message.as_bytes());
    /// let mut compressor = Compressor::new(Level::default());
    /// let compressed = compressor.smaller_server_frame(Kind::Text, message.as_bytes());
    /// assert!(compressed.unwrap_or_else(|| plain.clone()).len() < plain.len() / 10);
    /// ```
    #[must_use]
    pub fn smaller_server_frame(&mut self, kind: Kind, payload: &[u8]) -> Option<Bytes> {
        self.frame(kind, payload, None)
    }

    /// A client's frame that holds a message: compressed, or [plain](frame::client_frame). The key is
    /// drawn anew for each frame.
    #[must_use]
    pub fn client_frame(&mut self, kind: Kind, payload: &[u8], mask_key: [u8; 4]) -> Bytes {
        self.frame(kind, payload, Some(mask_key))
            .unwrap_or_else(|| frame::client_frame(true, kind, payload, mask_key))
    }

    fn frame(&mut self, kind: Kind, payload: &[u8], key: Option<[u8; 4]>) -> Option<Bytes> {
        let opcode = Opcode::from(kind).bits() | RSV1;
        let frame = self
            .compress(payload)
            .map(|payload| frame::fragment(opcode, true, payload, key));
        if self.out.capacity() > Self::KEPT {
            self.out = Vec::new();
        }
        frame
    }

    /// The payload of a message's frames, of which the first then has its first reserved bit set.
    /// `None` where the message is to be sent plain.
    pub(super) fn compress(&mut self, payload: &[u8]) -> Option<&[u8]> {
        if payload.len() < self.floor {
            return None;
        }
        self.out.clear();
        self.out.reserve(payload.len() + Self::MARGIN);
        let before = self.stream.total_in();
        let flush = FlushCompress::Sync;
        let compressed = self.stream.compress_vec(payload, &mut self.out, flush);
        // Where there is room left, all of it came out.
        let is_whole = compressed.is_ok()
            && self.stream.total_in() - before == payload.len() as u64
            && self.out.len() < self.out.capacity()
            && self.out.ends_with(&TAIL);
        let length = self.out.len().saturating_sub(TAIL.len());
        // What our own side would refuse is nothing to be sent to others.
        let is_bomb =
            payload.len() > SMALL && payload.len() as u64 > length as u64 * u64::from(RATIO);
        let is_sent = is_whole && length < payload.len() && !is_bomb;
        // What isn't sent must not be referred to.
        if !self.flow.takeover || !is_sent {
            self.stream.reset();
        }
        is_sent.then(|| &self.out[..length])
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("flow", &self.flow)
            .field("floor", &self.floor)
            .finish_non_exhaustive()
    }
}
