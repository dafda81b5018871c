//! One message as it is written, once for each dialect, and once more where it is compressed.

use std::sync::Arc;

use bytes::Bytes;

use super::DialectId;

/// A message that is ready to be written to anybody: nobody's copy is made anew. A frame is empty
/// where nobody gets it, because nobody speaks that dialect or it has no form for the message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    codec: Bytes,
    others: Option<Arc<Others>>,
}

/// Those beside the plain one in the codec.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// In the other dialects; none where nobody speaks them.
    pub(super) plain: Box<[Bytes]>,
    /// Compressed, the codec's own first; empty where there is only the plain one, and none where
    /// nobody gets any.
    pub(super) deflated: Box<[Bytes]>,
}

impl Frames {
    pub(super) fn new(codec: Bytes, others: Others) -> Self {
        let has_others = !(others.plain.is_empty() && others.deflated.is_empty());
        Self {
            codec,
            others: has_others.then(|| Arc::new(others)),
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

    #[inline]
    pub(crate) fn of(&self, id: DialectId) -> &Bytes {
        match id == DialectId::CODEC {
            true => &self.codec,
            false => self.other(id),
        }
    }

    fn other(&self, id: DialectId) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        let (plain, deflated) = match &self.others {
            Some(others) => (&*others.plain, &*others.deflated),
            None => Default::default(),
        };
        if id.is_deflated()
            && let Some(frame) = deflated.get(id.number())
            && !frame.is_empty()
        {
            return frame;
        }
        match id.number().checked_sub(1) {
            None => &self.codec,
            Some(other) => plain.get(other).unwrap_or(&NONE),
        }
    }

    /// The bytes of all of them.
    pub(crate) fn bytes(&self) -> usize {
        let others = self.others.iter();
        let others = others.flat_map(|others| others.plain.iter().chain(&others.deflated));
        others.map(Bytes::len).sum::<usize>() + self.codec.len()
    }
}
