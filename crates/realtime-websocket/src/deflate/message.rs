//! A message that is being inflated, and what is held against it while it is.

use super::SMALL;
use crate::{Decoder, Kind, Violation, parse::grow};

/// What an unfinished message is inflated to at most: so many times what has come of it.
const UNFINISHED: u32 = 32;

/// Where what is inflated goes.
pub(super) struct Message<'d> {
    pub(super) frames: &'d mut Decoder,
    pub(super) max_ratio: Option<u32>,
    /// The bytes of it that have come, inflated or not.
    pub(super) came: u64,
}

impl Message<'_> {
    /// How many more bytes may come out of it while it is unfinished. The ratio is that of the whole,
    /// so nothing that has come by then is held against it.
    pub(super) fn room(&self) -> usize {
        let ratio = self
            .max_ratio
            .map_or(UNFINISHED, |most| most.min(UNFINISHED));
        let most = self.came.saturating_mul(u64::from(ratio));
        let room = most.saturating_sub(self.frames.data.len() as u64);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Takes a piece, of a message of which more may come.
    pub(super) fn take(&mut self, piece: &[u8], more_comes: bool) -> Result<(), Violation> {
        let Decoder {
            data,
            limits,
            message,
            utf8,
            ..
        } = &mut *self.frames;
        let limit = limits.max_message;
        if piece.len() > limit.saturating_sub(data.len()) {
            return Err(Violation::TooBig { limit });
        }
        let length = data.len() + piece.len();
        if let Some(limit) = self.max_ratio
            && length > SMALL
            && length as u64 > self.came.saturating_mul(u64::from(limit))
        {
            return Err(Violation::Ratio { limit });
        }
        if more_comes && *message == Some(Kind::Text) && utf8.push(piece).is_err() {
            return Err(Violation::BadUtf8);
        }
        grow(data, piece.len(), limit);
        data.extend_from_slice(piece);
        Ok(())
    }
}
