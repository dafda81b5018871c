//! One tap: from the sessions of an identity to the one who looks, with bounds of its own.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
    time::SystemTime,
};

use bytes::Bytes;
use realtime_core::{IdentityKey, Message, Payload, SessionId};
use tokio::{sync::mpsc, time::Instant};

/// How many sessions a tap looks at, those together that are there and those that come.
pub(crate) const TAPPED: usize = 256;
/// How many bytes of messages wait for the one who looks.
const WAITING_BYTES: usize = 1024 * 1024;
/// So much of a message is copied.
pub(crate) const COPIED: usize = 4 * 1024;
/// What a message takes beside its text.
pub(super) const BESIDE: usize = 128;

/// One tap: from the sessions of an identity to the one who looks.
#[derive(Debug)]
pub(crate) struct Line {
    key: IdentityKey,
    sender: mpsc::Sender<Seen>,
    /// It ends then, whether or not anybody takes what has come.
    until: Instant,
    /// How many sessions it looks at, or has looked at.
    sessions: AtomicUsize,
    /// How many it doesn't, since those are enough.
    left_out: AtomicUsize,
    pub(super) waiting: AtomicUsize,
    /// Messages for which there was no room since the last that found some.
    missed: AtomicU64,
}

/// A message that was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) at: SystemTime,
    pub(crate) session: SessionId,
    pub(crate) what: What,
    /// How many were missed before it.
    pub(crate) missed: u64,
}

#[derive(Debug)]
pub(crate) enum What {
    /// The client has said this.
    Heard {
        route: String,
        id: Option<String>,
        /// The beginning of its data; `None` where it holds what nobody is to see.
        data: Option<Vec<u8>>,
        bytes: usize,
    },
    /// The client is sent this frame, of which it is the beginning.
    Sent {
        frame: Bytes,
        bytes: usize,
        /// It is in the codec, and not in a dialect beside it.
        speaks_codec: bool,
    },
}

impl Line {
    pub(super) fn new(key: IdentityKey, sender: mpsc::Sender<Seen>, until: Instant) -> Self {
        Self {
            key,
            sender,
            until,
            sessions: AtomicUsize::new(0),
            left_out: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            missed: AtomicU64::new(0),
        }
    }

    pub(super) fn is_of(&self, key: &IdentityKey) -> bool {
        self.key == *key
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed() && Instant::now() < self.until
    }

    /// When it ends at the latest.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// How many sessions it looks at, or has looked at.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.load(SeqCst)
    }

    /// How many of the identity it doesn't look at.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out.load(SeqCst)
    }

    /// So many are there, and are too many to look at.
    pub(crate) fn leave_out(&self, sessions: usize) {
        self.left_out.fetch_add(sessions, SeqCst);
    }

    /// Whether it looks at one more.
    pub(super) fn takes(&self) -> bool {
        let one_more = |sessions| (sessions < TAPPED).then_some(sessions + 1);
        let taken = self.sessions.fetch_update(SeqCst, SeqCst, one_more).is_ok();
        if !taken {
            self.leave_out(1);
        }
        taken
    }

    /// Whether there is room for so much of a message, as far as is known before it is there.
    pub(super) fn has_room(&self, size: usize) -> bool {
        self.sender.capacity() > 0 && self.waiting.load(Relaxed) + size <= WAITING_BYTES
    }

    /// Whoever looks has taken what was copied of a message.
    pub(crate) fn taken(&self, seen: &Seen) {
        self.waiting.fetch_sub(seen.size(), Relaxed);
    }

    /// There was no room for one.
    pub(super) fn miss(&self) {
        self.missed.fetch_add(1, Relaxed);
    }

    /// Something was seen. It is made only where there is room for it.
    pub(super) fn put(&self, session: SessionId, made: Made<'_>) {
        let size = made.size();
        let place = self.sender.try_reserve();
        let Ok(place) = place else {
            self.missed.fetch_add(1, Relaxed);
            return;
        };
        if self.waiting.fetch_add(size, Relaxed) + size > WAITING_BYTES {
            self.waiting.fetch_sub(size, Relaxed);
            self.missed.fetch_add(1, Relaxed);
            return;
        }
        place.send(Seen {
            at: SystemTime::now(),
            session,
            what: made.what(),
            missed: self.missed.swap(0, Relaxed),
        });
    }
}

impl Seen {
    fn size(&self) -> usize {
        BESIDE
            + match &self.what {
                What::Heard {
                    route, id, data, ..
                } => {
                    let id = id.as_ref().map_or(0, String::len);
                    route.len() + id + data.as_ref().map_or(0, Vec::len)
                }
                What::Sent { frame, .. } => frame.len(),
            }
    }
}

/// A message of which a [`What`] can be made.
#[derive(Clone, Copy)]
pub(super) enum Made<'m> {
    Heard {
        message: &'m Message,
        hidden: bool,
    },
    Sent {
        frame: &'m Bytes,
        bytes: usize,
        speaks_codec: bool,
    },
}

impl Made<'_> {
    fn size(&self) -> usize {
        BESIDE
            + match self {
                Self::Heard { message, hidden } => {
                    let id = message.message_id().map_or(0, |id| id.as_str().len());
                    let data = match hidden {
                        true => 0,
                        false => message.data().len().min(COPIED),
                    };
                    message.route().len() + id + data
                }
                Self::Sent { frame, .. } => frame.len(),
            }
    }

    fn what(self) -> What {
        match self {
            Self::Heard { message, hidden } => What::Heard {
                route: message.route().to_owned(),
                id: message.message_id().map(|id| id.to_string()),
                data: (!hidden).then(|| beginning(message.data())),
                bytes: message.data().len(),
            },
            Self::Sent {
                frame,
                bytes,
                speaks_codec,
            } => What::Sent {
                frame: frame.clone(),
                bytes,
                speaks_codec,
            },
        }
    }
}

fn beginning(data: &Payload) -> Vec<u8> {
    let bytes = data.as_bytes();
    bytes[..bytes.len().min(COPIED)].to_vec()
}
