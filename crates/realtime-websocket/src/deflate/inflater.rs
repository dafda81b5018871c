//! From compressed bytes to those of a message, in pieces of bounded size.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use crate::Violation;

/// What ends the data of a message and isn't sent, and behind it a block without data that is the
/// last, or that isn't.
const ENDING: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
const ENDLESS: [u8; 9] = [0, 0, 0xff, 0xff, 0, 0, 0, 0xff, 0xff];

/// So often the data may end and begin anew within a message, beside once for each 64 bytes of it.
/// Each time costs as much as many bytes to inflate do.
const ENDS: u64 = 16;

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

    /// The memory that it holds, in bytes, as measured with zlib-rs: an estimate. None before it was
    /// used, and while it is lent.
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
    /// How often the data of this message have come to an end of their own.
    ends: u64,
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
            ends: 0,
        })
    }

    /// Begins a message, which may refer to those before it (`keeps`).
    pub(super) fn begin(&mut self, keeps: bool) {
        if !keeps {
            self.stream.reset(false);
        }
        self.ends = 0;
    }

    /// Inflates a part of a message of which `came` bytes have come, and hands on up to `room` bytes
    /// of what comes of it. Returns how much of the input is left.
    pub(super) fn inflate(
        &mut self,
        input: &[u8],
        came: u64,
        room: usize,
        take: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<usize, Violation> {
        let ran = self.run(input, room, came, take)?;
        Ok(ran.left)
    }

    /// Inflates the last part of a message, and sees to it that the message is whole.
    ///
    /// Where the next message may refer to this one (`keeps`), one that was cut off in the middle of a
    /// code table isn't noticed before the next.
    pub(super) fn finish(
        &mut self,
        input: &[u8],
        came: u64,
        keeps: bool,
        take: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        if self.run(input, usize::MAX, came, take)?.has_ended {
            return Ok(());
        }
        // Nothing comes of the end of a message that is whole.
        let end = if keeps { &ENDLESS } else { &ENDING };
        // This end is ours.
        self.ends = 0;
        let ran = self.run(end, usize::MAX, came, |_| Err(Violation::BadDeflate))?;
        match ran.has_ended || keeps {
            true => Ok(()),
            false => Err(Violation::BadDeflate),
        }
    }

    /// Inflates all of the input, or until `room` bytes have come out.
    ///
    /// The data may come to an end of their own: a block that is marked as the last (RFC 7692, section
    /// 7.2.3.4). What comes behind it stands for itself: who ends their data so begins anew.
    fn run(
        &mut self,
        mut input: &[u8],
        mut room: usize,
        came: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<Ran, Violation> {
        let mut has_ended = false;
        while room > 0 {
            let out = &mut self.out[..room.min(Self::OUT)];
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(input, out, FlushDecompress::None)
                .map_err(|_| Violation::BadDeflate)?;
            let consumed = (self.stream.total_in() - read) as usize;
            let produced = (self.stream.total_out() - written) as usize;
            let is_full = produced == out.len();
            if produced > 0 {
                take(&out[..produced])?;
            }
            (input, room) = (&input[consumed..], room - produced);
            if status == Status::StreamEnd {
                self.stream.reset(false);
                self.ends += 1;
                if self.ends > ENDS + came / 64 {
                    return Err(Violation::BadDeflate);
                }
                has_ended = input.is_empty();
                if has_ended {
                    break;
                }
            } else if input.is_empty() && !is_full {
                break;
            } else if consumed == 0 && produced == 0 {
                // It is not to be.
                return Err(Violation::BadDeflate);
            }
        }
        let left = input.len();
        Ok(Ran { left, has_ended })
    }
}

/// How far it went.
struct Ran {
    /// So much of the input is left: nothing, unless there was no more room.
    left: usize,
    /// The data have come to an end of their own with the input.
    has_ended: bool,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").finish_non_exhaustive()
    }
}
