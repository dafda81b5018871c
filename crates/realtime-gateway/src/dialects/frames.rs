//! One message as it is written, once for each dialect, and once more where it is compressed.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::DialectId;
use crate::compression::Deflater;

/// A message that is ready to be written to anybody: nobody's copy is made anew. A frame is empty
/// where nobody gets it, because nobody speaks that dialect or it has no form for the message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    codec: Bytes,
    others: Option<Arc<Others>>,
}

/// Those beside the plain one in the codec.
#[derive(Debug, Default)]
struct Others {
    /// In the other dialects; none where nobody speaks them.
    plain: Box<[Bytes]>,
    /// `None` where the message is compressed for nobody.
    deflated: Option<Deflated>,
}

/// The same, compressed: each when the first is about to get it, for as many as come after.
#[derive(Debug)]
pub(super) struct Deflated {
    deflater: Deflater,
    /// The codec's own first. An empty one doesn't shrink.
    frames: Box<[OnceLock<Bytes>]>,
}

impl Frames {
    pub(super) fn new(codec: Bytes, plain: Box<[Bytes]>, deflated: Option<Deflated>) -> Self {
        let has_others = !plain.is_empty() || deflated.is_some();
        Self {
            codec,
            others: has_others.then(|| Arc::new(Others { plain, deflated })),
        }
    }

    /// One for those alone who speak the codec.
    pub(crate) const fn of_codec(frame: Bytes) -> Self {
        Self {
            codec: frame,
            others: None,
        }
    }

    /// For nobody.
    pub(crate) const fn none() -> Self {
        Self::of_codec(Bytes::new())
    }

    /// The one for those who speak this. It may be compressed first, so to be asked for where
    /// somebody gets it.
    #[inline]
    pub(crate) fn of(&self, id: DialectId) -> &Bytes {
        match id == DialectId::CODEC {
            true => &self.codec,
            false => self.other(id),
        }
    }

    fn other(&self, id: DialectId) -> &Bytes {
        let plain = self.plain(id);
        let deflated = self.deflated(id);
        deflated.map_or(plain, |deflated| deflated.of(id, plain))
    }

    /// The same where there is no time to compress: what isn't by now is plain.
    pub(crate) fn ready(&self, id: DialectId) -> &Bytes {
        let ready = self.deflated(id).and_then(|deflated| deflated.ready(id));
        ready.unwrap_or_else(|| self.plain(id))
    }

    fn plain(&self, id: DialectId) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        match id.number().checked_sub(1) {
            None => &self.codec,
            Some(other) => {
                let others = self.others.as_ref();
                others
                    .and_then(|others| others.plain.get(other))
                    .unwrap_or(&NONE)
            }
        }
    }

    fn deflated(&self, id: DialectId) -> Option<&Deflated> {
        let others = self.others.as_ref().filter(|_| id.is_deflated())?;
        others.deflated.as_ref()
    }

    /// Whether somebody may get it compressed.
    pub(crate) fn may_be_compressed(&self) -> bool {
        let others = self.others.as_ref();
        others.is_some_and(|others| others.deflated.is_some())
    }

    /// The bytes that all of them may have: as many again for those that are compressed, or will be.
    pub(crate) fn bytes(&self) -> usize {
        let Some(others) = &self.others else {
            return self.codec.len();
        };
        let plain = others.plain.iter().map(Bytes::len).sum::<usize>() + self.codec.len();
        match others.deflated {
            Some(_) => 2 * plain,
            None => plain,
        }
    }
}

impl Deflated {
    /// For so many frames.
    pub(super) fn new(deflater: Deflater, frames: usize) -> Self {
        Self {
            deflater,
            frames: (0..frames).map(|_| OnceLock::new()).collect(),
        }
    }

    fn of<'f>(&'f self, id: DialectId, plain: &'f Bytes) -> &'f Bytes {
        let Some(frame) = self.frames.get(id.number()) else {
            return plain;
        };
        let frame = frame.get_or_init(|| self.deflater.compress(plain).unwrap_or_default());
        match frame.is_empty() {
            true => plain,
            false => frame,
        }
    }

    fn ready(&self, id: DialectId) -> Option<&Bytes> {
        let frame = self.frames.get(id.number())?.get()?;
        (!frame.is_empty()).then_some(frame)
    }
}
