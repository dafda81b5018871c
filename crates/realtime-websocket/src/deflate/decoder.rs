//! From bytes to events where messages may be compressed: the decoder, with an inflater between the
//! frames and the message.

use super::{Agreed, RATIO, RSV1, SpareInflater, inflater::Inflater, message::Message};
use crate::{
    Decoder, Event, Limits, Role, Violation,
    frame::{Header, MAX, Opcode},
    mask,
    parse::{Open, Stage, grow},
};

/// Reads the bytes of one peer, who may compress messages.
///
/// It is a [`Decoder`] in everything else: all that is said there holds here, too. The limit on a
/// message is that of the message, and holds while it is inflated; what is sent for it may have an
/// eighth more. Where nothing was agreed it *is* a [`Decoder`], to which compressed messages are a
/// violation.
///
/// A message that is compressed waits as it came until it is whole or 4 KiB of it are there. Only
/// then an inflater is taken, which belongs to the decoder until the message is over. Until it is
/// whole it is inflated to 32 times what has come of it and no further, and the rest waits.
///
/// ```
/// use realtime_websocket::{Event, Limits, Role, deflate::{InflatingDecoder, Policy}, frame};
///
/// let answer = Policy::default().answer([&b"permessage-deflate"[..]]);
/// let agreed = answer.map(|answer| answer.agreed());
/// let mut server = InflatingDecoder::new(Role::Server, Limits::default(), agreed);
///
/// // The RFC's own example: text, with the bit that says that it is compressed.
/// let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
/// let sent = frame::fragment(1 | 0x40, true, &hello, Some([1, 2, 3, 4]));
/// let event = server.decode(&mut &sent[..])?;
/// assert_eq!(event, Some(Event::Text("Hello".into())));
/// # Ok::<(), realtime_websocket::Violation>(())
/// ```
#[derive(Debug)]
pub struct InflatingDecoder {
    frames: Decoder,
    agreed: Option<Agreed>,
    max_ratio: Option<u32>,
    /// The frame whose header is being read has the bit that says that its message is compressed.
    is_marked: bool,
    /// The message that has begun is compressed.
    is_compressed: bool,
    /// Some of it was inflated.
    has_begun: bool,
    /// The bytes of it that have come, inflated or not.
    came: u64,
    /// The last of them, with those that aren't inflated yet.
    waiting: Vec<u8>,
    /// So many of these are inflated.
    inflated: usize,
    inflater: Option<Box<Inflater>>,
}

/// With each so many bytes of an unfinished message it is inflated further.
const WAITING: usize = 4 * 1024;

impl InflatingDecoder {
    /// A decoder for what is sent *to* this role, with what was agreed on, if anything.
    #[must_use]
    pub const fn new(role: Role, limits: Limits, agreed: Option<Agreed>) -> Self {
        Self {
            frames: Decoder::new(role, limits),
            agreed,
            max_ratio: Some(RATIO),
            is_marked: false,
            is_compressed: false,
            has_begun: false,
            came: 0,
            waiting: Vec::new(),
            inflated: 0,
            inflater: None,
        }
    }

    /// Sets how many times as large as what was sent for it a message may be, once it has more than
    /// 64 KiB; `None`: no matter, as long as it is within the limit of messages. Default 256.
    ///
    /// A [`Compressor`](super::Compressor) sends plain what would be above the default. Other
    /// compressors send it: with one value over and over they come to 500 times and more, and nothing
    /// can be more than 1,032 times as large.
    #[must_use]
    pub const fn with_ratio(mut self, max_ratio: Option<u32>) -> Self {
        self.max_ratio = max_ratio;
        self
    }

    /// What was agreed on.
    #[must_use]
    pub const fn agreed(&self) -> Option<Agreed> {
        self.agreed
    }

    /// As [`Decoder::decode`]. An inflater is allocated for each message that is compressed, and freed
    /// after it.
    ///
    /// # Errors
    /// What the peer did wrong, as there.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        self.decode_with(input, &mut SpareInflater::new())
    }

    /// The same with a borrowed inflater. It is given back before this returns, unless a message is
    /// unfinished and has more than 4 KiB: then with the message's end.
    ///
    /// # Errors
    /// What the peer did wrong, as in [`Decoder::decode`].
    pub fn decode_with(
        &mut self,
        input: &mut &[u8],
        spare: &mut SpareInflater,
    ) -> Result<Option<Event>, Violation> {
        let Some(agreed) = self.agreed else {
            return self.frames.decode(input);
        };
        if self.inflater.is_none() && !agreed.receive.takeover {
            self.inflater = spare.0.take();
        }
        let event = self.step(input);
        if matches!(event, Err(_) | Ok(Some(Event::Close(_)))) {
            self.frames.give_up(event.as_ref().err());
            self.forget_message();
        }
        if !self.has_begun && !agreed.receive.takeover {
            spare.0 = self.inflater.take().or_else(|| spare.0.take());
        }
        event
    }

    /// As [`Decoder::discard_messages`].
    pub fn discard_messages(&mut self) {
        self.frames.discard_messages();
        self.forget_message();
        self.inflater = None;
    }

    fn forget_message(&mut self) {
        self.end_message();
        // Nobody may refer to what was lost.
        if self.agreed.is_some_and(|agreed| agreed.receive.takeover) {
            self.inflater = None;
        }
    }

    fn end_message(&mut self) {
        (self.is_compressed, self.has_begun, self.came) = (false, false, 0);
        (self.waiting, self.inflated) = (Vec::new(), 0);
    }

    /// As [`Decoder::discarded`].
    #[must_use]
    pub const fn discarded(&self) -> u32 {
        self.frames.discarded()
    }

    /// As [`Decoder::scout`]: messages aren't inflated.
    #[must_use]
    pub fn scout(&self) -> Self {
        Self {
            frames: self.frames.scout(),
            ..Self::new(Role::Server, Limits::default(), self.agreed)
        }
    }

    /// As [`Decoder::is_done`].
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.frames.is_done()
    }

    /// As [`Decoder::is_assembling`].
    #[must_use]
    pub fn is_assembling(&self) -> bool {
        self.frames.is_assembling()
    }

    /// As [`Decoder::buffered`]: 0 while idle. With an unfinished message it counts the inflater that
    /// was taken for it, as measured with zlib-rs: an estimate.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let inflater = match (self.has_begun, self.retained()) {
            (true, 0) => Inflater::MEMORY,
            _ => 0,
        };
        self.frames.buffered() + self.waiting.capacity() + inflater
    }

    /// The memory held from message to message, in bytes, an estimate: 0 without takeover.
    #[must_use]
    pub fn retained(&self) -> usize {
        match (&self.inflater, self.agreed) {
            (Some(_), Some(agreed)) if agreed.receive.takeover => Inflater::MEMORY,
            _ => 0,
        }
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        loop {
            match self.frames.stage {
                Stage::Header { len, .. } => {
                    if len == 0 {
                        self.read_mark(input)?;
                    }
                    let Some(header) = self.frames.read_header(input)? else {
                        return Ok(None);
                    };
                    self.frames.stage = header.payload();
                    self.begin(header)?;
                }
                Stage::Payload(mut open, mut missing) => {
                    let is_compressed = self.is_compressed && !open.opcode.is_control();
                    if is_compressed {
                        self.read_compressed(&mut open, &mut missing, input)?;
                    } else {
                        self.frames.read_payload(&mut open, &mut missing, input)?;
                    }
                    if missing > 0 {
                        self.frames.stage = Stage::Payload(open, missing);
                        return Ok(None);
                    }
                    self.frames.stage = Stage::START;
                    if is_compressed && open.fin {
                        self.finish()?;
                    }
                    if let Some(event) = self.frames.finish(open)? {
                        return Ok(Some(event));
                    }
                }
                Stage::Done => {
                    *input = &[];
                    return Ok(None);
                }
            }
        }
    }

    /// Takes the bit that says that a message is compressed from the frame's first byte. It may be on
    /// the first frame of a message only.
    fn read_mark(&mut self, input: &mut &[u8]) -> Result<(), Violation> {
        let Some((&first, rest)) = input.split_first() else {
            return Ok(());
        };
        if first & RSV1 == 0 {
            return Ok(());
        }
        let is_allowed = match first & 0x0f {
            1 | 2 => true,
            // What is wrong with a message that isn't kept is of no interest.
            0 => self.frames.discards,
            _ => false,
        };
        if !is_allowed {
            return Err(Violation::ReservedBit);
        }
        let mut bytes = [0; MAX];
        bytes[0] = first & !RSV1;
        self.frames.stage = Stage::Header { bytes, len: 1 };
        self.is_marked = true;
        *input = rest;
        Ok(())
    }

    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        let is_marked = std::mem::take(&mut self.is_marked);
        let is_continued = self.is_compressed && header.opcode == Opcode::Continuation;
        if self.frames.discards || !(is_marked || is_continued) {
            return self.frames.begin(header);
        }
        // What comes out of it is measured as it does.
        self.frames.begin(Header {
            length: 0,
            ..header
        })?;
        self.is_compressed = true;
        let limit = self.frames.limits.max_message;
        // Nothing sensible is larger than what it stands for by more.
        let most = (limit as u64).saturating_add(limit as u64 / 8 + 64);
        if header.length > most.saturating_sub(self.came) {
            return Err(Violation::TooBig { limit });
        }
        Ok(())
    }

    fn read_compressed(
        &mut self,
        open: &mut Open,
        missing: &mut usize,
        input: &mut &[u8],
    ) -> Result<(), Violation> {
        while *missing > 0 && !input.is_empty() {
            // By what has come in all, so that the pieces don't matter.
            let begun = (self.came % WAITING as u64) as usize;
            if begun == 0
                && self.came > 0
                && let Err(violation) = self.inflate()
            {
                self.frames.stage = Stage::Payload(*open, *missing);
                return Err(violation);
            }
            let start = self.waiting.len();
            let length = (WAITING - begun).min(*missing).min(input.len());
            let (piece, rest) = input.split_at(length);
            *input = rest;
            let most = match start + length <= WAITING {
                true => WAITING,
                false => usize::MAX,
            };
            grow(&mut self.waiting, length, most);
            self.waiting.extend_from_slice(piece);
            if let Some(key) = &mut open.key {
                *key = mask::apply(&mut self.waiting[start..], *key);
            }
            self.came += length as u64;
            *missing -= length;
        }
        Ok(())
    }

    /// Inflates what waits, as far as may be, of a message of which more comes.
    fn inflate(&mut self) -> Result<(), Violation> {
        let left = self.run(|inflater, waiting, mut message| {
            let (came, room) = (message.came, message.room());
            inflater.inflate(waiting, came, room, |piece| message.take(piece, true))
        })?;
        self.inflated = self.waiting.len() - left;
        // What is left is moved only where more was inflated: each byte is paid for once.
        if self.inflated >= left {
            self.waiting.drain(..self.inflated);
            self.inflated = 0;
        }
        Ok(())
    }

    /// Inflates the rest of a message.
    fn finish(&mut self) -> Result<(), Violation> {
        // Some send nothing for nothing, where the RFC asks for one byte.
        if self.came > 0 {
            let keeps = self.agreed.is_some_and(|agreed| agreed.receive.takeover);
            self.run(|inflater, waiting, mut message| {
                let came = message.came;
                // The last piece of a text is looked at with the whole.
                inflater.finish(waiting, came, keeps, |piece| message.take(piece, false))
            })?;
        }
        self.end_message();
        Ok(())
    }

    fn run<T>(
        &mut self,
        run: impl FnOnce(&mut Inflater, &[u8], Message<'_>) -> Result<T, Violation>,
    ) -> Result<T, Violation> {
        let inflater = self.inflater.get_or_insert_with(Inflater::new);
        if !self.has_begun {
            inflater.begin(self.agreed.is_some_and(|agreed| agreed.receive.takeover));
        }
        self.has_begun = true;
        let message = Message {
            frames: &mut self.frames,
            max_ratio: self.max_ratio,
            came: self.came,
        };
        run(inflater, &self.waiting[self.inflated..], message)
    }
}
