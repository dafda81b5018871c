//! Which protocol a client speaks, and whether what it is sent may be compressed.

use crate::compression::Agreed;

/// The number of a dialect among those of its node, and whether messages in it may be compressed. A
/// session has none of its own: its shard does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DialectId(u8);

impl DialectId {
    /// The codec's own, not compressed.
    pub(crate) const CODEC: Self = Self(0);
    /// The bit that says that messages may be compressed. There are fewer dialects.
    const DEFLATED: u8 = 0x80;

    pub(super) const fn numbered(number: u8) -> Self {
        Self(number & !Self::DEFLATED)
    }

    /// The same for those who may be sent compressed messages.
    pub(super) const fn deflated(self) -> Self {
        Self(self.0 | Self::DEFLATED)
    }

    /// The same for one with whom this was agreed.
    pub(crate) fn compressed(self, agreed: Agreed) -> Self {
        match agreed.takes_compressed() {
            true => self.deflated(),
            false => self,
        }
    }

    /// Whether messages may be compressed.
    #[inline]
    pub(crate) const fn is_deflated(self) -> bool {
        cfg!(feature = "deflate") && self.0 & Self::DEFLATED != 0
    }

    /// Whether it is the codec's own, compressed or not.
    #[cfg(feature = "admin")]
    pub(crate) const fn is_codec(self) -> bool {
        self.number() == 0
    }

    #[inline]
    pub(super) const fn number(self) -> usize {
        match cfg!(feature = "deflate") {
            true => (self.0 & !Self::DEFLATED) as usize,
            false => self.0 as usize,
        }
    }
}
