//! What a dispatcher takes from a log in one round.

use bytes::{Bytes, BytesMut};

/// Up to this much is copied into one piece, so that each session's write has one slice.
const JOINED_BYTES: usize = 64 * 1024;

/// Consecutive messages of a log.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    first: u64,
    frames: Vec<Bytes>,
    /// All frames, one behind the other; empty where that would be too much.
    joined: Bytes,
}

impl Batch {
    pub(super) fn new(first: u64, frames: Vec<Bytes>) -> Self {
        let joined = match frames.as_slice() {
            [one] => one.clone(),
            many if bytes(many) <= JOINED_BYTES => {
                let mut joined = BytesMut::with_capacity(bytes(many));
                many.iter()
                    .for_each(|frame| joined.extend_from_slice(frame));
                joined.freeze()
            }
            _ => Bytes::new(),
        };
        Self {
            first,
            frames,
            joined,
        }
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> usize {
        bytes(&self.frames)
    }

    /// The position behind its last message.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// Its messages from a cursor on.
    pub(crate) fn after(&self, cursor: u64) -> &[Bytes] {
        let skipped = usize::try_from(cursor.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.frames.get(skipped..).unwrap_or_default()
    }

    /// The same in one piece, where there is one.
    pub(crate) fn joined_after(&self, cursor: u64) -> Option<&[u8]> {
        if self.joined.is_empty() {
            return None;
        }
        let skipped = self.frames.len() - self.after(cursor).len();
        self.joined.get(bytes(&self.frames[..skipped])..)
    }
}

fn bytes(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_same_bytes_in_one_piece_and_in_several() {
        let frames: Vec<Bytes> = ["a", "bc", "def"].map(Bytes::from).into();
        let batch = Batch::new(7, frames.clone());
        assert_eq!(batch.end(), 10);
        for cursor in 0..12 {
            let several: Vec<u8> = batch.after(cursor).concat();
            assert_eq!(batch.joined_after(cursor), Some(several.as_slice()));
        }
        assert_eq!(batch.after(7), frames);
        assert_eq!(batch.after(9), &frames[2..]);
    }

    #[test]
    fn what_is_large_is_not_copied() {
        let large = Bytes::from(vec![0; JOINED_BYTES]);
        let batch = Batch::new(0, vec![large.clone(), large.clone()]);
        assert_eq!(batch.joined_after(0), None);
        let batch = Batch::new(0, vec![large.clone()]);
        assert_eq!(batch.joined_after(0).unwrap().as_ptr(), large.as_ptr());
    }
}
