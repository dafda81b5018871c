//! From compressed bytes to those of a message, in pieces of bounded size.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use crate::Violation;

/// What ends the data of a message and isn't sent, and behind it a block without data that is the
/// last, or that isn't.
const ENDING: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
const ENDLESS: [u8; 9] = [0, 0, 0xff, 0xff, 0, 0, 0, 0xff, 0xff];

/// An inflater for whoever has a message to be inflated: 56 KB once it was used, for as many
/// connections as there are.
///
/// Keep one for each thread that decodes, and give it to
/// [`InflatingDecoder::decode_with`](super::InflatingDecoder::decode_with).
///
/// ```
/// use std::cell::RefCell;
/// use realtime_websocket::deflate::SpareInflater;
///
/// thread_local! {
///     static SPARE: RefCell<SpareInflater> = const { RefCell::new(SpareInflater::new()) };
/// }
/// assert_eq!(SPARE.with_borrow(SpareInflater::memory), 0);
/// ```
#[derive(Debug, Default)]
pub struct SpareInflater(pub(super) Option<Box<Inflater>>);

impl SpareInflater {
    /// None yet: it is made when it is needed first.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// The memory that it holds, in bytes: none before it was used, and while it is lent.
    #[must_use]
    pub fn memory(&self) -> usize {
        match self.0 {
            Some(_) => Inflater::MEMORY,
            None => 0,
        }
    }
}

pub(super) struct Inflater {
    stream: Decompress,
    out: Box<[u8]>,
}

impl Inflater {
    /// So much comes out at once.
    const OUT: usize = 8 * 1024;
    /// What the stream allocates, measured; the output's buffer; and itself.
    pub(super) const MEMORY: usize = 47_552 + Self::OUT + size_of::<Self>();

    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            stream: Decompress::new(false),
            out: vec![0; Self::OUT].into(),
        })
    }

    /// Forgets all that came before.
    pub(super) fn reset(&mut self) {
        self.stream.reset(false);
    }

    /// Inflates a part of a message, and hands on what comes of it.
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        take: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        self.run(input, take).map(drop)
    }

    /// Inflates the last part of a message, and sees to it that the message is whole.
    ///
    /// Where the next message may refer to this one (`keeps`), one that was cut off in the middle of a
    /// code table isn't noticed before the next.
    pub(super) fn finish(
        &mut self,
        input: &[u8],
        keeps: bool,
        take: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        if self.run(input, take)? {
            return Ok(());
        }
        // Nothing comes of the end of a message that is whole.
        let end = if keeps { &ENDLESS } else { &ENDING };
        let has_ended = self.run(end, |_| Err(Violation::BadDeflate))?;
        match has_ended || keeps {
            true => Ok(()),
            false => Err(Violation::BadDeflate),
        }
    }

    /// Returns whether the data have come to an end of their own with the input.
    ///
    /// An end of their own is a block that is marked as the last (RFC 7692, section 7.2.3.4). What
    /// comes behind it stands for itself: who ends their data so begins anew.
    fn run(
        &mut self,
        mut input: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<bool, Violation> {
        loop {
            let (came, went) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(input, &mut self.out, FlushDecompress::None)
                .map_err(|_| Violation::BadDeflate)?;
            let consumed = (self.stream.total_in() - came) as usize;
            let produced = (self.stream.total_out() - went) as usize;
            input = &input[consumed..];
            if produced > 0 {
                take(&self.out[..produced])?;
            }
            if status == Status::StreamEnd {
                self.reset();
                if input.is_empty() {
                    return Ok(true);
                }
            } else if input.is_empty() && produced < self.out.len() {
                return Ok(false);
            } else if consumed == 0 && produced == 0 {
                // It is not to be.
                return Err(Violation::BadDeflate);
            }
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}
