//! Taps: which there are, and who of the sessions they look at.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
    },
    time::SystemTime,
};

use bytes::Bytes;
use realtime_core::{IdentityKey, Message, Payload, SessionId};
use tokio::sync::mpsc;

/// How many taps a node has at once.
pub(crate) const TAPS: usize = 8;
/// How many messages of a tap wait for the one who looks, and how many bytes of them.
const WAITING: usize = 256;
const WAITING_BYTES: usize = 1024 * 1024;
/// So much of a message is copied.
pub(crate) const COPIED: usize = 4 * 1024;
/// So much of a frame, which has more in it than the data.
const FRAME: usize = 16 * 1024;

/// All taps of a node.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    /// How many there are, so that a session that comes has to look no further where there are none.
    count: AtomicUsize,
    lines: Mutex<Vec<Arc<Line>>>,
}

/// One tap: from the sessions of an identity to the one who looks.
#[derive(Debug)]
pub(crate) struct Line {
    key: IdentityKey,
    sender: mpsc::Sender<Seen>,
    waiting: AtomicUsize,
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

/// Who looks at a session's messages: nearly always nobody.
#[derive(Debug, Default)]
pub(crate) struct TapPoint(Option<Box<Looked>>);

#[derive(Debug)]
struct Looked {
    session: SessionId,
    speaks_codec: bool,
    lines: Vec<Arc<Line>>,
}

/// What was sent, for those who look.
pub(crate) type Copied = Option<(Bytes, usize)>;

impl Taps {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look at an identity; `None` where there are as many taps as there may be.
    pub(crate) fn begin(&self, key: IdentityKey) -> Option<(Arc<Line>, mpsc::Receiver<Seen>)> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut lines = self.lock();
        lines.retain(|line| line.is_open());
        if lines.len() >= TAPS {
            return None;
        }
        let line = Arc::new(Line {
            key,
            sender,
            waiting: AtomicUsize::new(0),
            missed: AtomicU64::new(0),
        });
        lines.push(Arc::clone(&line));
        self.count.store(lines.len(), SeqCst);
        Some((line, receiver))
    }

    pub(crate) fn end(&self, line: &Arc<Line>) {
        let mut lines = self.lock();
        lines.retain(|other| !Arc::ptr_eq(other, line));
        self.count.store(lines.len(), SeqCst);
    }

    /// Those who look at this identity.
    pub(crate) fn of(&self, key: &IdentityKey) -> Vec<Arc<Line>> {
        if self.count.load(SeqCst) == 0 {
            return Vec::new();
        }
        let mut lines = self.lock().clone();
        lines.retain(|line| line.key == *key);
        lines
    }
}

impl Line {
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Whoever looks has taken what was copied of a message.
    pub(crate) fn taken(&self, seen: &Seen) {
        self.waiting.fetch_sub(seen.size(), Relaxed);
    }

    fn put(&self, session: SessionId, what: What) {
        let mut seen = Seen {
            at: SystemTime::now(),
            session,
            what,
            missed: 0,
        };
        let size = seen.size();
        if self.waiting.fetch_add(size, Relaxed) + size > WAITING_BYTES {
            self.waiting.fetch_sub(size, Relaxed);
            self.missed.fetch_add(1, Relaxed);
            return;
        }
        let missed = self.missed.swap(0, Relaxed);
        seen.missed = missed;
        if self.sender.try_send(seen).is_err() {
            self.waiting.fetch_sub(size, Relaxed);
            self.missed.fetch_add(missed + 1, Relaxed);
        }
    }
}

impl Seen {
    fn size(&self) -> usize {
        128 + match &self.what {
            What::Heard { route, data, .. } => route.len() + data.as_ref().map_or(0, Vec::len),
            What::Sent { frame, .. } => frame.len(),
        }
    }
}

impl TapPoint {
    /// What of a frame is copied, before it is handed on.
    #[inline]
    pub(crate) fn copy(&self, frame: &Bytes) -> Copied {
        self.0.as_ref().map(|_| copied(frame))
    }

    /// It was sent.
    #[inline]
    pub(crate) fn sent(&mut self, copied: Copied) {
        if let Some((frame, bytes)) = copied {
            let speaks_codec = self.0.as_ref().is_some_and(|looked| looked.speaks_codec);
            self.tell(|| What::Sent {
                frame: frame.clone(),
                bytes,
                speaks_codec,
            });
        }
    }

    /// The client has said something. Returns whether anybody still looks.
    pub(crate) fn heard(&mut self, message: &Message, hidden: bool) -> bool {
        let data = message.data();
        self.tell(|| What::Heard {
            route: message.route().to_owned(),
            id: message.message_id().map(|id| id.to_string()),
            data: (!hidden).then(|| beginning(data)),
            bytes: data.len(),
        })
    }

    /// Somebody begins to look.
    pub(crate) fn add(&mut self, session: SessionId, speaks_codec: bool, line: Arc<Line>) {
        let looked = self.0.get_or_insert_with(|| {
            Box::new(Looked {
                session,
                speaks_codec,
                lines: Vec::new(),
            })
        });
        if !looked.lines.iter().any(|other| Arc::ptr_eq(other, &line)) {
            looked.lines.push(line);
        }
    }

    #[cold]
    fn tell(&mut self, what: impl Fn() -> What) -> bool {
        let Some(looked) = &mut self.0 else {
            return false;
        };
        looked.lines.retain(|line| line.is_open());
        for line in &looked.lines {
            line.put(looked.session, what());
        }
        if looked.lines.is_empty() {
            self.0 = None;
        }
        self.0.is_some()
    }
}

#[cold]
fn copied(frame: &Bytes) -> (Bytes, usize) {
    let beginning = &frame[..frame.len().min(FRAME)];
    (Bytes::copy_from_slice(beginning), frame.len())
}

fn beginning(data: &Payload) -> Vec<u8> {
    let bytes = data.as_bytes();
    bytes[..bytes.len().min(COPIED)].to_vec()
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    fn key() -> IdentityKey {
        IdentityKey::new("ann")
    }

    #[test]
    fn there_are_so_many_taps_and_no_more_until_one_ends() {
        let taps = Taps::default();
        let mut all: Vec<_> = (0..TAPS).map(|_| taps.begin(key()).unwrap()).collect();
        assert!(taps.begin(key()).is_none());
        assert_eq!(taps.of(&key()).len(), TAPS);
        assert!(taps.of(&IdentityKey::new("bob")).is_empty());
        taps.end(&all[0].0);
        assert!(taps.begin(key()).is_some());
        // Whose reader is gone needs no end.
        drop(all.pop());
        assert!(taps.begin(key()).is_some());
    }

    #[test]
    fn what_waits_is_bounded_and_the_rest_is_counted() {
        let taps = Taps::default();
        let (line, mut receiver) = taps.begin(key()).unwrap();
        let mut point = TapPoint::default();
        point.add(SessionId::random(), true, Arc::clone(&line));
        let frame = Bytes::from(vec![b'x'; 2 * FRAME]);
        for _ in 0..100 {
            let copied = point.copy(&frame);
            point.sent(copied);
        }
        let mut received = 0;
        while let Ok(seen) = receiver.try_recv() {
            line.taken(&seen);
            received += 1;
        }
        assert!((50..64).contains(&received), "{received}");
        let copied = point.copy(&frame);
        point.sent(copied);
        assert_eq!(receiver.try_recv().unwrap().missed, 100 - received);
        drop(receiver);
        let copied = point.copy(&frame);
        point.sent(copied);
        assert!(point.0.is_none(), "nobody looks any more");
    }
}
