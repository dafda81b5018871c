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
use tokio::{sync::mpsc, time::Instant};

/// How many taps a node has at once.
pub(crate) const TAPS: usize = 8;
/// How many sessions a tap looks at, those together that are there and those that come.
pub(crate) const TAPPED: usize = 256;
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
    /// It ends then, whether or not anybody takes what has come.
    until: Instant,
    /// How many sessions it looks at, or has looked at.
    sessions: AtomicUsize,
    /// How many it doesn't, since those are enough.
    left_out: AtomicUsize,
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
#[derive(Debug)]
pub(crate) enum Copied {
    /// Nobody looks.
    No,
    /// Somebody does, and has no room for it.
    NoRoom,
    /// The beginning of a frame, and how long that is.
    Frame(Bytes, usize),
}

impl Taps {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look at an identity, until then; `None` where there are as many taps as there may be.
    pub(crate) fn begin(
        &self,
        key: IdentityKey,
        until: Instant,
    ) -> Option<(Arc<Line>, mpsc::Receiver<Seen>)> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut lines = self.lock();
        lines.retain(|line| line.is_open());
        if lines.len() >= TAPS {
            return None;
        }
        let line = Arc::new(Line {
            key,
            sender,
            until,
            sessions: AtomicUsize::new(0),
            left_out: AtomicUsize::new(0),
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
        let lines = self.lock();
        let theirs = lines.iter().filter(|line| line.key == *key);
        theirs.filter(|line| line.is_open()).cloned().collect()
    }
}

impl Line {
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
    fn takes(&self) -> bool {
        let one_more = |sessions| (sessions < TAPPED).then_some(sessions + 1);
        let taken = self.sessions.fetch_update(SeqCst, SeqCst, one_more).is_ok();
        if !taken {
            self.leave_out(1);
        }
        taken
    }

    /// Whether there is room for so much of a message, as far as is known before it is there.
    fn has_room(&self, size: usize) -> bool {
        self.sender.capacity() > 0 && self.waiting.load(Relaxed) + size <= WAITING_BYTES
    }

    /// Whoever looks has taken what was copied of a message.
    pub(crate) fn taken(&self, seen: &Seen) {
        self.waiting.fetch_sub(seen.size(), Relaxed);
    }

    /// Something was seen. It is made only where there is room for it.
    fn put(&self, session: SessionId, made: Made<'_>) {
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

/// What a message takes beside its text.
const BESIDE: usize = 128;

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
enum Made<'m> {
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

impl TapPoint {
    /// What of a frame is copied, before it is handed on.
    #[inline]
    pub(crate) fn copy(&self, frame: &Bytes) -> Copied {
        match &self.0 {
            None => Copied::No,
            Some(looked) => looked.copied(frame),
        }
    }

    /// It was sent.
    #[inline]
    pub(crate) fn sent(&mut self, copied: Copied) {
        match copied {
            Copied::No => {}
            Copied::NoRoom => self.missed(),
            Copied::Frame(frame, bytes) => {
                let speaks_codec = self.0.as_ref().is_some_and(|looked| looked.speaks_codec);
                self.tell(Made::Sent {
                    frame: &frame,
                    bytes,
                    speaks_codec,
                });
            }
        }
    }

    /// The client has said something. Returns whether anybody still looks.
    pub(crate) fn heard(&mut self, message: &Message, hidden: bool) -> bool {
        self.tell(Made::Heard { message, hidden })
    }

    /// Somebody begins to look, unless they look at enough.
    pub(crate) fn add(&mut self, session: SessionId, speaks_codec: bool, line: Arc<Line>) {
        let looked = self.0.get_or_insert_with(|| {
            Box::new(Looked {
                session,
                speaks_codec,
                lines: Vec::new(),
            })
        });
        // Of a quiet session nobody else drops those that have ended.
        looked.lines.retain(|line| line.is_open());
        if !looked.lines.iter().any(|other| Arc::ptr_eq(other, &line)) && line.takes() {
            looked.lines.push(line);
        }
        self.forget_nobody();
    }

    /// Whether anybody looks.
    pub(crate) fn is_looked_at(&self) -> bool {
        self.0.is_some()
    }

    #[cold]
    fn tell(&mut self, made: Made<'_>) -> bool {
        self.each(|session, line| line.put(session, made))
    }

    #[cold]
    fn missed(&mut self) {
        self.each(|_, line| {
            line.missed.fetch_add(1, Relaxed);
        });
    }

    fn each(&mut self, mut tell: impl FnMut(SessionId, &Line)) -> bool {
        if let Some(looked) = &mut self.0 {
            looked.lines.retain(|line| line.is_open());
            for line in &looked.lines {
                tell(looked.session, line);
            }
        }
        self.forget_nobody();
        self.0.is_some()
    }

    fn forget_nobody(&mut self) {
        if self
            .0
            .as_ref()
            .is_some_and(|looked| looked.lines.is_empty())
        {
            self.0 = None;
        }
    }
}

impl Looked {
    #[cold]
    fn copied(&self, frame: &Bytes) -> Copied {
        let beginning = &frame[..frame.len().min(FRAME)];
        let size = BESIDE + beginning.len();
        let has_room = |line: &Arc<Line>| line.is_open() && line.has_room(size);
        match self.lines.iter().any(has_room) {
            true => Copied::Frame(Bytes::copy_from_slice(beginning), frame.len()),
            false => Copied::NoRoom,
        }
    }
}

fn beginning(data: &Payload) -> Vec<u8> {
    let bytes = data.as_bytes();
    bytes[..bytes.len().min(COPIED)].to_vec()
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key() -> IdentityKey {
        IdentityKey::new("ann")
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    fn begin(taps: &Taps) -> Option<(Arc<Line>, mpsc::Receiver<Seen>)> {
        taps.begin(key(), later())
    }

    #[test]
    fn there_are_so_many_taps_and_no_more_until_one_ends() {
        let taps = Taps::default();
        let mut all: Vec<_> = (0..TAPS).map(|_| begin(&taps).unwrap()).collect();
        assert!(begin(&taps).is_none());
        assert_eq!(taps.of(&key()).len(), TAPS);
        assert!(taps.of(&IdentityKey::new("bob")).is_empty());
        taps.end(&all[0].0);
        assert!(begin(&taps).is_some());
        // Whose reader is gone needs no end.
        drop(all.pop());
        assert!(begin(&taps).is_some());
    }

    #[test]
    fn what_waits_is_bounded_and_the_rest_is_counted() {
        let taps = Taps::default();
        let (line, mut receiver) = begin(&taps).unwrap();
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
        // What there is no room for isn't copied first.
        while let Copied::Frame(..) = point.copy(&frame) {
            let copied = point.copy(&frame);
            point.sent(copied);
        }
        assert!(matches!(point.copy(&frame), Copied::NoRoom));
        drop(receiver);
        let copied = point.copy(&frame);
        point.sent(copied);
        assert!(!point.is_looked_at(), "nobody looks any more");
    }

    #[test]
    fn its_time_is_over_also_where_nobody_takes_what_has_come() {
        let taps = Taps::default();
        let over = Instant::now() - Duration::from_millis(1);
        let all: Vec<_> = (0..TAPS)
            .map(|_| taps.begin(key(), over).unwrap())
            .collect();
        assert!(taps.of(&key()).is_empty());
        let mut point = TapPoint::default();
        point.add(SessionId::random(), true, Arc::clone(&all[0].0));
        let frame = Bytes::from_static(b"frame");
        let copied = point.copy(&frame);
        point.sent(copied);
        assert!(!point.is_looked_at() && all[0].0.waiting.load(Relaxed) == 0);
        assert!(begin(&taps).is_some(), "their places are free");
    }

    #[test]
    fn a_quiet_session_keeps_no_line_that_has_ended() {
        let (taps, mut point) = (Taps::default(), TapPoint::default());
        for _ in 0..100 {
            let (line, receiver) = begin(&taps).unwrap();
            point.add(SessionId::random(), true, Arc::clone(&line));
            drop(receiver);
            taps.end(&line);
        }
        assert_eq!(point.0.unwrap().lines.len(), 1);
    }

    #[test]
    fn so_many_sessions_are_looked_at_and_the_others_are_counted() {
        let taps = Taps::default();
        let (line, _receiver) = begin(&taps).unwrap();
        let mut points: Vec<_> = (0..TAPPED + 3).map(|_| TapPoint::default()).collect();
        for point in &mut points {
            point.add(SessionId::random(), true, Arc::clone(&line));
            // Again, as a session does that comes at the same time.
            if point.is_looked_at() {
                point.add(SessionId::random(), true, Arc::clone(&line));
            }
        }
        assert_eq!((line.sessions(), line.left_out()), (TAPPED, 3));
        assert!(!points[TAPPED].is_looked_at());
    }
}
