//! Where a session's messages are copied for those who look at them.

use std::sync::Arc;

use bytes::Bytes;
use realtime_core::{Message, SessionId};

use super::line::{BESIDE, Line, Made};

/// So much of a frame is copied, which has more in it than the data.
pub(super) const FRAME: usize = 16 * 1024;

/// Who looks at a session's messages: nearly always nobody.
#[derive(Debug, Default)]
pub(crate) struct TapPoint(pub(super) Option<Box<Looked>>);

#[derive(Debug)]
pub(super) struct Looked {
    session: SessionId,
    speaks_codec: bool,
    pub(super) lines: Vec<Arc<Line>>,
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
        self.each(|_, line| line.miss());
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
