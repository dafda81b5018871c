//! From bytes to events: the one state machine of this crate.

use bytes::Bytes;

use crate::{
    CloseFrame, Role, Violation,
    header::{self, Header, MAX, Opcode},
    mask,
    utf8::Utf8,
};

/// What a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The bytes of a message, its fragments together. Default 1 MiB.
    pub message: usize,
    /// The fragments of a message. Default 4,096.
    pub fragments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 1 << 20,
            fragments: 4096,
        }
    }
}

impl Limits {
    /// Sets the bytes that a message may have.
    #[must_use]
    pub const fn with_message(mut self, bytes: usize) -> Self {
        self.message = bytes;
        self
    }

    /// Sets the fragments that a message may have.
    #[must_use]
    pub const fn with_fragments(mut self, fragments: usize) -> Self {
        self.fragments = fragments;
        self
    }
}

/// Something that a peer sent, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A binary message, its fragments joined.
    Binary(Bytes),
    /// The peer closes. Nothing follows it.
    Close(Option<CloseFrame>),
    /// A ping, to be answered by a pong with the same payload.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A text message, its fragments joined: valid UTF-8.
    Text(Bytes),
}

/// The frame whose payload is being read.
#[derive(Debug, Clone, Copy)]
struct Open {
    header: Header,
    taken: usize,
}

/// Reads the bytes of one peer.
///
/// It keeps what belongs to an unfinished frame, so the caller keeps nothing. After a close or a
/// violation it ignores whatever else comes.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    done: bool,
    head_len: u8,
    head: [u8; MAX],
    utf8: Utf8,
    open: Option<Open>,
    /// The data message that has begun, and how many of its fragments have.
    message: Option<(Opcode, usize)>,
    /// Payload of the message. It grows as bytes come, never ahead of them.
    data: Vec<u8>,
    /// Payload of a control frame, which may stand between fragments.
    control: Vec<u8>,
    limits: Limits,
}

impl Decoder {
    /// A decoder for what is sent *to* this role.
    #[must_use]
    pub const fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            done: false,
            head_len: 0,
            head: [0; MAX],
            utf8: Utf8::new(),
            open: None,
            message: None,
            data: Vec::new(),
            control: Vec::new(),
            limits,
        }
    }

    /// Takes bytes from the front of `input` until one event is complete or the input is used up.
    ///
    /// `Ok(None)` means that all of the input was taken and more is needed.
    ///
    /// # Errors
    /// What the peer did wrong. The connection is over then: send a close frame with
    /// [`Violation::close_code`].
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        if self.done {
            *input = &[];
            return Ok(None);
        }
        let event = self.step(input);
        if matches!(event, Err(_) | Ok(Some(Event::Close(_)))) {
            self.done = true;
            (self.data, self.control, self.message) = (Vec::new(), Vec::new(), None);
        }
        event
    }

    /// The memory held for what is unfinished, in bytes; 0 while idle.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.data.capacity() + self.control.capacity()
    }

    /// Whether something has begun and is not complete: a frame, or a message in fragments.
    #[must_use]
    pub fn is_assembling(&self) -> bool {
        !self.done && (self.message.is_some() || self.open.is_some() || self.head_len > 0)
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        loop {
            let Some(mut open) = self.open.take() else {
                match self.read_header(input)? {
                    Some(header) => self.begin(header)?,
                    None => return Ok(None),
                }
                continue;
            };
            let missing = open.header.length as usize - open.taken;
            let (piece, rest) = input.split_at(missing.min(input.len()));
            *input = rest;
            self.read_payload(&mut open, piece)?;
            if piece.len() < missing {
                self.open = Some(open);
                return Ok(None);
            }
            if let Some(event) = self.finish(open.header)? {
                return Ok(Some(event));
            }
        }
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Violation> {
        loop {
            let have = usize::from(self.head_len);
            if have >= 2 && have == header::size(self.head[1]) {
                self.head_len = 0;
                return Header::parse(&self.head[..have], self.role).map(Some);
            }
            let Some((&next, rest)) = input.split_first() else {
                return Ok(None);
            };
            self.head[have] = next;
            self.head_len += 1;
            *input = rest;
        }
    }

    /// Decides at the header whether the frame may come at all, before anything is allocated.
    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        if !header.opcode.is_control() {
            let limit = self.limits.message;
            self.message = match (self.message, header.opcode) {
                (None, Opcode::Continuation) => return Err(Violation::UnexpectedContinuation),
                (Some((opcode, fragments)), Opcode::Continuation) => Some((opcode, fragments + 1)),
                (None, opcode) => Some((opcode, 1)),
                (Some(_), _) => return Err(Violation::UnfinishedMessage),
            };
            if self
                .message
                .is_some_and(|(_, fragments)| fragments > self.limits.fragments)
            {
                return Err(Violation::Fragments {
                    limit: self.limits.fragments,
                });
            }
            if header.length > (limit - self.data.len()) as u64 {
                return Err(Violation::TooBig { limit });
            }
        }
        self.open = Some(Open { header, taken: 0 });
        Ok(())
    }

    fn read_payload(&mut self, open: &mut Open, piece: &[u8]) -> Result<(), Violation> {
        let control = open.header.opcode.is_control();
        let buffer = if control {
            &mut self.control
        } else {
            &mut self.data
        };
        let start = buffer.len();
        if open.header.length as usize == piece.len() && start == 0 {
            buffer.reserve_exact(piece.len());
        }
        buffer.extend_from_slice(piece);
        if let Some(key) = open.header.key {
            mask::apply(&mut buffer[start..], key, open.taken);
        }
        open.taken += piece.len();
        if !control && matches!(self.message, Some((Opcode::Text, _))) {
            self.utf8
                .push(&self.data[start..])
                .map_err(|_| Violation::BadUtf8)?;
        }
        Ok(())
    }

    fn finish(&mut self, header: Header) -> Result<Option<Event>, Violation> {
        if header.opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return Ok(Some(match header.opcode {
                Opcode::Ping => Event::Ping(payload.into()),
                Opcode::Pong => Event::Pong(payload.into()),
                _ => Event::Close(CloseFrame::parse(&payload)?),
            }));
        }
        if !header.fin {
            return Ok(None);
        }
        let payload = Bytes::from(std::mem::take(&mut self.data));
        match self.message.take() {
            Some((Opcode::Text, _)) => {
                self.utf8.finish().map_err(|_| Violation::BadUtf8)?;
                Ok(Some(Event::Text(payload)))
            }
            _ => Ok(Some(Event::Binary(payload))),
        }
    }
}
