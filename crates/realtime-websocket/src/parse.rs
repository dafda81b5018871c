//! From bytes to events: the one state machine of this crate.

use std::mem;

use bytes::Bytes;

use crate::{
    CloseFrame, Kind, Limits, Role, Violation,
    frame::{Header, MAX, Opcode},
    mask,
    utf8::Utf8,
};

/// A fragment of so many bytes is no burden: only smaller ones count against the limit.
const LARGE_FRAGMENT: usize = 64;

/// Reads the bytes of one peer.
///
/// It keeps what belongs to an unfinished frame, so the caller keeps nothing. After a close it
/// ignores whatever else comes. After a violation it keeps no message, and finds the peer's close
/// frame if its frames can still be [followed](Self::is_done). While idle it holds no heap memory.
///
/// ```
/// use realtime_websocket::{Decoder, Event, Limits, Role, frame};
///
/// let mut client = Decoder::new(Role::Client, Limits::default());
/// let sent = [frame::ping(b"?"), frame::server_frame(frame::Kind::Text, b"hi")].concat();
///
/// let mut events = Vec::new();
/// for mut piece in sent.chunks(3) {
///     while let Some(event) = client.decode(&mut piece)? {
///         events.push(event);
///     }
/// }
/// assert_eq!(events, [Event::Ping("?".into()), Event::Text("hi".into())]);
/// assert_eq!(client.buffered(), 0);
/// # Ok::<(), realtime_websocket::Violation>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    /// The payload of the message so far. It grows as bytes come, never ahead of them.
    pub(crate) data: Vec<u8>,
    /// The payload of a control frame so far, which may stand between fragments.
    control: Vec<u8>,
    pub(crate) stage: Stage,
    pub(crate) limits: Limits,
    /// How many fragments of the message have begun.
    fragments: u32,
    /// How many messages were complete and not kept.
    discarded: u32,
    /// The message that has begun.
    pub(crate) message: Option<Kind>,
    pub(crate) utf8: Utf8,
    role: Role,
    /// Messages are read and not kept.
    pub(crate) discards: bool,
}

/// Something that a peer sent, whole.
///
/// Deliberately exhaustive: these are all that the RFC has, and a reader of a connection must
/// decide about each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A text message, its fragments joined.
    Text(String),
    /// A binary message, its fragments joined.
    Binary(Bytes),
    /// A ping, to be answered by a pong with the same payload.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The peer closes, and may say why. Nothing follows it.
    Close(Option<CloseFrame>),
}

#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// A header that the end of an input has cut; empty between two frames.
    Header { bytes: [u8; MAX], len: u8 },
    /// This frame's payload, of which so many bytes are missing.
    Payload(Open, usize),
    /// After a close, or a violation in a header.
    Done,
}

impl Stage {
    pub(crate) const START: Self = Self::Header {
        bytes: [0; MAX],
        len: 0,
    };
}

/// The frame whose payload is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    /// Turned so that it begins with the byte for the next byte of the payload.
    pub(crate) key: Option<[u8; 4]>,
}

impl Header {
    pub(crate) const fn payload(self) -> Stage {
        let Self {
            fin,
            opcode,
            key,
            length,
        } = self;
        Stage::Payload(Open { opcode, fin, key }, length as usize)
    }
}

impl Decoder {
    /// A decoder for what is sent *to* this role: a server reads what clients send.
    #[must_use]
    pub const fn new(role: Role, limits: Limits) -> Self {
        Self {
            data: Vec::new(),
            control: Vec::new(),
            stage: Stage::START,
            limits,
            fragments: 0,
            discarded: 0,
            message: None,
            utf8: Utf8::new(),
            role,
            discards: false,
        }
    }

    /// Keeps no message from now on, not even the one that has begun: it is followed frame by
    /// frame, and only control frames are still events. For a connection that is being closed: the
    /// peer's close frame is found behind whatever it was sending.
    ///
    /// ```
    /// use realtime_websocket::{Decoder, Event, Limits, Role, frame};
    ///
    /// let mut client = Decoder::new(Role::Client, Limits::default());
    /// let sent = [frame::server_frame(frame::Kind::Text, b"long"), frame::close(1000, "")].concat();
    /// let mut rest = &sent[..];
    /// client.discard_messages();
    /// assert!(matches!(client.decode(&mut rest)?, Some(Event::Close(_))));
    /// # Ok::<(), realtime_websocket::Violation>(())
    /// ```
    pub fn discard_messages(&mut self) {
        self.discards = true;
        self.message = None;
        self.data = Vec::new();
    }

    /// How many messages have come whole and were not kept, since
    /// [`discard_messages`](Self::discard_messages).
    #[must_use]
    pub const fn discarded(&self) -> u32 {
        self.discarded
    }

    /// A decoder that stands where this one does and keeps no message: given the same input, it
    /// finds the control frames among what this one has yet to decode. So a ping can be answered
    /// though the messages before it have to wait.
    ///
    /// It doesn't look into messages: what is wrong with one is only found by this decoder.
    ///
    /// ```
    /// use realtime_websocket::{Decoder, Event, Limits, Role, frame};
    ///
    /// let mut client = Decoder::new(Role::Client, Limits::default());
    /// let sent = [frame::server_frame(frame::Kind::Text, b"long"), frame::ping(b"?")].concat();
    /// let event = client.scout().decode(&mut &sent[..])?;
    /// assert_eq!(event, Some(Event::Ping("?".into())));
    ///
    /// let event = client.decode(&mut &sent[..])?;
    /// assert_eq!(event, Some(Event::Text("long".into())));
    /// # Ok::<(), realtime_websocket::Violation>(())
    /// ```
    #[must_use]
    pub fn scout(&self) -> Self {
        Self {
            // A part of a control frame may have come.
            control: self.control.clone(),
            stage: self.stage.clone(),
            discards: true,
            ..Self::new(self.role, self.limits)
        }
    }

    /// Consumes bytes from the front of `input` until one event is complete or the input is used
    /// up.
    ///
    /// `Ok(None)` means that all of the input was consumed and more is needed. With an event, the
    /// rest of the input is left: call it again.
    ///
    /// # Errors
    /// What the peer did wrong. The connection is over then: send a close frame with
    /// [`Violation::close_code`].
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        let event = self.step(input);
        if matches!(event, Err(_) | Ok(Some(Event::Close(_)))) {
            self.give_up(event.as_ref().err());
        }
        event
    }

    /// Keeps nothing more, because of a violation or a close.
    #[cold]
    pub(crate) fn give_up(&mut self, violation: Option<&Violation>) {
        // The last of a message is looked at when its frame is over.
        let is_followed = match self.stage {
            Stage::Header { .. } => violation.is_some_and(Violation::is_of_a_payload),
            Stage::Payload(..) => true,
            Stage::Done => false,
        };
        self.discard_messages();
        if !is_followed {
            (self.stage, self.control) = (Stage::Done, Vec::new());
        }
    }

    /// Whether nothing is made any more of what comes: after a close frame, or after a violation
    /// behind which no frame can be found.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// The memory allocated for what is unfinished, in bytes: capacity, not length. 0 while idle.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.data.capacity() + self.control.capacity()
    }

    /// Whether something has begun and is not complete: a message of which a fragment came, or
    /// any frame, a control frame too, of which a byte came.
    ///
    /// A deadline on it must start anew with each message that completes, since a busy peer may
    /// well have begun the next one whenever it is asked.
    #[must_use]
    pub fn is_assembling(&self) -> bool {
        match self.stage {
            Stage::Header { len, .. } => len > 0 || self.message.is_some(),
            Stage::Payload(_, missing) => missing > 0,
            Stage::Done => false,
        }
    }

    // What it calls has another caller where compression is compiled in, and is inlined all the same:
    // calls would be 118 instructions more for a short message, of 773.
    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        loop {
            match self.stage {
                Stage::Header { .. } => match self.read_header(input)? {
                    Some(header) => {
                        if let Some(message) = self.whole(header, input) {
                            return message.map(Some);
                        }
                        // Also where it may not come: it can still be followed.
                        self.stage = header.payload();
                        self.begin(header)?;
                    }
                    None => return Ok(None),
                },
                Stage::Payload(mut open, mut missing) => {
                    self.read_payload(&mut open, &mut missing, input)?;
                    if missing > 0 {
                        self.stage = Stage::Payload(open, missing);
                        return Ok(None);
                    }
                    self.stage = Stage::START;
                    if let Some(event) = self.finish(open)? {
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

    #[inline]
    pub(crate) fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Violation> {
        let Stage::Header { bytes, len } = &mut self.stage else {
            return Ok(None);
        };
        let have = usize::from(*len);
        // Nearly always the header lies whole in the input, and is read where it lies.
        if have == 0
            && let Some((header, size)) = Header::parse(input, self.role)?
        {
            *input = &input[size..];
            return Ok(Some(header));
        }
        let more = input.len().min(MAX - have);
        bytes[have..have + more].copy_from_slice(&input[..more]);
        let parsed = Header::parse(&bytes[..have + more], self.role)?;
        if let Some((header, size)) = parsed {
            *input = &input[size - have..];
            return Ok(Some(header));
        }
        *len += more as u8;
        *input = &input[more..];
        Ok(None)
    }

    /// The message that this frame is by itself, where all of it has come, as nearly all do. `None`
    /// where it is for the others to read, or to refuse.
    #[inline]
    fn whole(&mut self, header: Header, input: &mut &[u8]) -> Option<Result<Event, Violation>> {
        let kind = match header.opcode {
            Opcode::Text => Kind::Text,
            Opcode::Binary => Kind::Binary,
            _ => return None,
        };
        let may_come = header.fin
            && self.message.is_none()
            && !self.discards
            && self.limits.max_fragments > 0
            && header.length <= self.limits.max_message as u64;
        if !may_come {
            return None;
        }
        let (piece, rest) = input.split_at_checked(header.length as usize)?;
        (*input, self.stage) = (rest, Stage::START);
        let mut payload = piece.to_vec();
        if let Some(key) = header.key {
            mask::apply(&mut payload, key);
        }
        Some(match kind {
            Kind::Text => String::from_utf8(payload)
                .map(Event::Text)
                .map_err(|_| Violation::BadUtf8),
            Kind::Binary => Ok(Event::Binary(payload.into())),
        })
    }

    /// Decides at the header whether the frame may come at all, before anything is allocated.
    #[inline]
    pub(crate) fn begin(&mut self, header: Header) -> Result<(), Violation> {
        let Header { opcode, length, .. } = header;
        if !self.discards && !opcode.is_control() {
            match (self.message, opcode) {
                (None, Opcode::Continuation) => return Err(Violation::UnexpectedContinuation),
                (None, Opcode::Text) => self.message = Some(Kind::Text),
                (None, _) => self.message = Some(Kind::Binary),
                (Some(_), Opcode::Continuation) => {}
                (Some(_), _) => return Err(Violation::UnfinishedMessage),
            }
            // There are never so many where the limit is sensible.
            self.fragments = self.fragments.wrapping_add(1);
            let large = self.data.len() / LARGE_FRAGMENT;
            let allowed = self.limits.max_fragments.saturating_add(large);
            if self.fragments as usize > allowed {
                return Err(Violation::Fragments {
                    limit: self.limits.max_fragments,
                });
            }
            if length > (self.limits.max_message - self.data.len()) as u64 {
                return Err(Violation::TooBig {
                    limit: self.limits.max_message,
                });
            }
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn read_payload(
        &mut self,
        open: &mut Open,
        missing: &mut usize,
        input: &mut &[u8],
    ) -> Result<(), Violation> {
        let (piece, rest) = input.split_at((*missing).min(input.len()));
        *input = rest;
        let control = open.opcode.is_control();
        if self.discards && !control {
            *missing -= piece.len();
            return Ok(());
        }
        let buffer = if control {
            &mut self.control
        } else {
            &mut self.data
        };
        let start = buffer.len();
        let most = if control || open.fin {
            start + *missing
        } else {
            self.limits.max_message
        };
        grow(buffer, piece.len(), most);
        buffer.extend_from_slice(piece);
        if let Some(key) = &mut open.key {
            *key = mask::apply(&mut buffer[start..], *key);
        }
        *missing -= piece.len();
        // The last piece is looked at with the whole.
        let last = open.fin && *missing == 0;
        let is_text = !last && !control && self.message == Some(Kind::Text);
        if is_text && self.utf8.push(&self.data[start..]).is_err() {
            self.stage = Stage::Payload(*open, *missing);
            return Err(Violation::BadUtf8);
        }
        Ok(())
    }

    /// What a frame that is now whole amounts to: nothing, while its message is unfinished.
    #[inline]
    pub(crate) fn finish(&mut self, open: Open) -> Result<Option<Event>, Violation> {
        Ok(Some(match open.opcode {
            Opcode::Ping => Event::Ping(mem::take(&mut self.control).into()),
            Opcode::Pong => Event::Pong(mem::take(&mut self.control).into()),
            Opcode::Close => {
                // Nothing follows it, right or wrong.
                self.stage = Stage::Done;
                Event::Close(CloseFrame::parse(mem::take(&mut self.control))?)
            }
            _ if !open.fin => return Ok(None),
            _ => {
                self.fragments = 0;
                match self.message.take() {
                    Some(Kind::Text) => {
                        self.utf8.restart();
                        let payload = mem::take(&mut self.data);
                        Event::Text(String::from_utf8(payload).map_err(|_| Violation::BadUtf8)?)
                    }
                    Some(Kind::Binary) => Event::Binary(mem::take(&mut self.data).into()),
                    // It is not kept.
                    None => {
                        self.discarded = self.discarded.saturating_add(1);
                        return Ok(None);
                    }
                }
            }
        }))
    }
}

/// Makes room for `more` bytes. It grows geometrically, so that a peer that sends in small pieces
/// costs no more copies than another, but holds no more than the `most` that can still come.
pub(crate) fn grow(buffer: &mut Vec<u8>, more: usize, most: usize) {
    const LEAST: usize = 64;
    let needed = buffer.len() + more;
    if needed > buffer.capacity() {
        let room = needed.max(buffer.capacity().saturating_mul(2)).max(LEAST);
        buffer.reserve_exact(room.min(most) - buffer.len());
    }
}

#[cfg(test)]
mod tests;
