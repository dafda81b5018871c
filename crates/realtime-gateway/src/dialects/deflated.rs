//! Which messages may be compressed, and those for one session.

use std::{borrow::Cow, sync::atomic::Ordering::SeqCst};

use bytes::Bytes;
use realtime_core::Message;

use super::{DialectId, Dialects, Frames, frames::Deflated};

impl Dialects {
    /// The frames of a message. They are compressed when the first is about to get one so.
    pub(super) fn frames<'m>(
        &self,
        codec: Bytes,
        plain: Box<[Bytes]>,
        route: impl FnOnce() -> Option<Cow<'m, str>>,
    ) -> Frames {
        let is_wanted = self.deflater.is_on() && self.deflated.load(SeqCst) > 0;
        let deflated = match is_wanted && self.may_be_deflated(&codec, &plain, route) {
            true => Some(Deflated::new(self.deflater.clone(), 1 + plain.len())),
            false => None,
        };
        Frames::new(codec, plain, deflated)
    }

    /// Whether any of these frames may be compressed.
    #[cold]
    fn may_be_deflated<'m>(
        &self,
        codec: &Bytes,
        plain: &[Bytes],
        route: impl FnOnce() -> Option<Cow<'m, str>>,
    ) -> bool {
        let mut frames = std::iter::once(codec).chain(plain);
        if !frames.any(|frame| self.deflater.is_long_enough(frame)) {
            return false;
        }
        // One that can't be known may be any.
        let takes = |route: Cow<'_, str>| self.deflater.takes(&route);
        !self.deflater.asks_for_routes() || route().is_some_and(takes)
    }

    /// A frame for one session, compressed where it agrees to that.
    #[inline]
    pub(crate) fn sent(&self, id: DialectId, frame: Bytes, message: &Message) -> Bytes {
        match id.is_deflated() {
            true => self.sent_deflated(frame, message),
            false => frame,
        }
    }

    #[cold]
    fn sent_deflated(&self, frame: Bytes, message: &Message) -> Bytes {
        self.sent_together(DialectId::CODEC.deflated(), frame, [message.route()])
    }

    /// The same where one frame has several messages in it, on these routes.
    pub(crate) fn sent_together<'m>(
        &self,
        id: DialectId,
        frame: Bytes,
        routes: impl IntoIterator<Item = &'m str>,
    ) -> Bytes {
        let mut routes = routes.into_iter();
        let takes = id.is_deflated() && routes.all(|route| self.deflater.takes(route));
        let compressed = takes.then(|| self.deflater.compress(&frame)).flatten();
        compressed.unwrap_or(frame)
    }
}
