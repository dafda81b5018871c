//! What is compressed of what is said: once for all of a dialect who agree to it.

use std::{borrow::Cow, sync::atomic::Ordering::SeqCst};

use bytes::Bytes;
use realtime_core::Message;

use super::{DialectId, Dialects, Frames, frames::Others};

impl Dialects {
    /// The frames of a message, those among them that are compressed.
    pub(super) fn frames<'m>(
        &self,
        codec: Bytes,
        plain: Box<[Bytes]>,
        route: impl FnOnce() -> Option<Cow<'m, str>>,
    ) -> Frames {
        let is_wanted = self.deflater.is_on() && self.deflated.load(SeqCst) > 0;
        let deflated = match is_wanted {
            true => self.deflate(std::iter::once(&codec).chain(&plain), route),
            false => Box::default(),
        };
        Frames::new(codec, Others { plain, deflated })
    }

    /// Each of these frames compressed, where somebody gets it so; an empty one where not, and none
    /// where that is so of all.
    #[cold]
    fn deflate<'m, 'f>(
        &self,
        frames: impl Iterator<Item = &'f Bytes>,
        route: impl FnOnce() -> Option<Cow<'m, str>>,
    ) -> Box<[Bytes]> {
        let takes = |route: Cow<'_, str>| self.deflater.takes(&route);
        // One that can't be known may be any.
        if self.deflater.asks_for_routes() && !route().is_some_and(takes) {
            return Box::default();
        }
        let deflated = self.all().zip(frames).map(|(spoken, frame)| {
            // Who comes just now gets the plain one.
            let is_wanted = spoken.deflated.load(SeqCst) > 0;
            let compressed = is_wanted.then(|| self.deflater.compress(frame));
            compressed.flatten().unwrap_or_default()
        });
        let deflated: Box<[Bytes]> = deflated.collect();
        match deflated.iter().all(Bytes::is_empty) {
            true => Box::default(),
            false => deflated,
        }
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
        self.sent_together(DialectId::CODEC.deflated(), frame, [message])
    }

    /// The same where one frame has several messages in it.
    pub(crate) fn sent_together<'m>(
        &self,
        id: DialectId,
        frame: Bytes,
        messages: impl IntoIterator<Item = &'m Message>,
    ) -> Bytes {
        let mut messages = messages.into_iter();
        let takes =
            id.is_deflated() && messages.all(|message| self.deflater.takes(message.route()));
        let compressed = takes.then(|| self.deflater.compress(&frame)).flatten();
        compressed.unwrap_or(frame)
    }
}
