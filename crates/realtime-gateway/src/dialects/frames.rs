//! One message as it is written, once for each dialect.

use std::sync::Arc;

use bytes::Bytes;

use super::DialectId;

/// A message that is ready to be written to anybody: nobody's copy is made anew. A frame is empty
/// where nobody gets it, because nobody speaks that dialect or it has no form for the message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    codec: Bytes,
    others: Option<Arc<[Bytes]>>,
}

impl Frames {
    pub(super) const fn new(codec: Bytes, others: Option<Arc<[Bytes]>>) -> Self {
        Self { codec, others }
    }

    /// One for those alone who speak the codec.
    pub(crate) const fn of_codec(frame: Bytes) -> Self {
        Self::new(frame, None)
    }

    /// For nobody.
    pub(crate) const fn none() -> Self {
        Self::of_codec(Bytes::new())
    }

    #[inline]
    pub(crate) fn of(&self, DialectId(number): DialectId) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        match usize::from(number).checked_sub(1) {
            None => &self.codec,
            Some(other) => {
                let others = self.others.as_deref().unwrap_or_default();
                others.get(other).unwrap_or(&NONE)
            }
        }
    }

    /// The bytes of all of them.
    pub(crate) fn bytes(&self) -> usize {
        let others = self.others.iter().flat_map(|others| others.iter());
        others.map(Bytes::len).sum::<usize>() + self.codec.len()
    }
}
