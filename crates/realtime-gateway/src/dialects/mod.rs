//! The protocols that the clients of a node speak: the codec's own, and others beside it.
//!
//! The codec is also how messages travel between nodes and how histories keep them. What each client
//! gets is encoded and framed once for each protocol that somebody here speaks, and compressed once,
//! when the first who has agreed to that is about to get it.

mod deflated;
mod encoder;
mod frames;
mod id;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use realtime_core::{
    Message, Text,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind},
};

use crate::compression::Deflater;

pub(crate) use encoder::{Encoder, frame_of};
pub(crate) use frames::Frames;
pub(crate) use id::DialectId;

/// All dialects of a node.
pub(crate) struct Dialects {
    codec: Arc<dyn Codec>,
    own: Spoken,
    others: Box<[Spoken]>,
    deflater: Deflater,
    /// How many sessions may be sent compressed messages.
    deflated: AtomicUsize,
}

/// One of them.
struct Spoken {
    encoder: Encoder,
    ping: Bytes,
    /// How many sessions speak it. Of the codec's own it isn't counted.
    sessions: AtomicUsize,
}

/// A message that is encoded and framed once, for all who get it.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// For sessions of this node.
    pub(crate) frames: Frames,
    /// In the codec and without a frame's header, for other nodes.
    pub(crate) body: Bytes,
    pub(crate) kind: FrameKind,
    /// Why some of those sessions don't get it.
    pub(crate) unsaid: Option<Unsaid>,
}

/// For whom a message is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Those who are here.
    Present,
    /// Those who come while it is kept, too.
    Anybody,
}

impl Dialects {
    /// How many there may be beside the codec's own.
    pub(crate) const MAX: usize = 16;

    /// The codec's own, and others, each with its ping.
    pub(crate) fn new(codec: Arc<dyn Codec>, ping: Bytes, others: Vec<(Encoder, Bytes)>) -> Self {
        let spoken = |(encoder, ping)| Spoken {
            encoder,
            ping,
            sessions: AtomicUsize::new(0),
        };
        Self {
            own: spoken((Encoder::Codec(Arc::clone(&codec)), ping)),
            others: others.into_iter().take(Self::MAX).map(spoken).collect(),
            codec,
            deflater: Deflater::default(),
            deflated: AtomicUsize::new(0),
        }
    }

    /// The same with messages compressed for those who agree to it.
    pub(crate) fn compressing(self, deflater: Deflater) -> Self {
        Self { deflater, ..self }
    }

    pub(crate) const fn deflater(&self) -> &Deflater {
        &self.deflater
    }

    pub(crate) const fn codec(&self) -> &Arc<dyn Codec> {
        &self.codec
    }

    #[inline]
    pub(crate) fn of(&self, id: DialectId) -> &Encoder {
        &self.spoken(id).encoder
    }

    /// What asks a client whether it is there, ready to be written.
    pub(crate) fn ping(&self, id: DialectId) -> Bytes {
        self.spoken(id).ping.clone()
    }

    #[inline]
    fn spoken(&self, id: DialectId) -> &Spoken {
        match id.number().checked_sub(1) {
            None => &self.own,
            Some(other) => self.others.get(other).unwrap_or(&self.own),
        }
    }

    /// All of them, the codec's own first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = DialectId> {
        (0..=self.others.len() as u8).map(DialectId::numbered)
    }

    /// The same, and where messages are compressed each once more for those who agree to it.
    pub(crate) fn variants(&self) -> impl Iterator<Item = DialectId> {
        let deflated = self.ids().filter(|_| self.deflater.is_on());
        self.ids().chain(deflated.map(DialectId::deflated))
    }

    /// The one of this name.
    pub(crate) fn named(&self, name: &[u8]) -> Option<DialectId> {
        self.ids().find(|id| self.of(*id).name().as_bytes() == name)
    }

    /// A session that speaks this has come.
    pub(crate) fn came(&self, id: DialectId) {
        if id != DialectId::CODEC {
            self.spoken(id).sessions.fetch_add(1, SeqCst);
            if id.is_deflated() {
                self.deflated.fetch_add(1, SeqCst);
            }
        }
    }

    /// One has gone.
    pub(crate) fn went(&self, id: DialectId) {
        if id != DialectId::CODEC {
            self.spoken(id).sessions.fetch_sub(1, SeqCst);
            if id.is_deflated() {
                self.deflated.fetch_sub(1, SeqCst);
            }
        }
    }

    /// A message for sessions of this node and for other nodes. Only where the codec has no form for
    /// it is it an error.
    pub(crate) fn encode(&self, message: &Message) -> Result<Encoded, CodecError> {
        self.encode_for(message, Whom::Present)
    }

    /// A message that is kept, for those too who come while it waits.
    pub(crate) fn encode_kept(&self, message: &Message) -> Result<Encoded, CodecError> {
        self.encode_for(message, Whom::Anybody)
    }

    fn encode_for(&self, message: &Message, whom: Whom) -> Result<Encoded, CodecError> {
        let (first, body, kind) = encoder::encode(&*self.codec, message)?;
        let (others, unsaid) = self.others(whom, |encoder| encoder.frame_if_any(message));
        let frames = self.frames(first, others, || Some(message.route().into()));
        Ok(Encoded {
            frames,
            body,
            kind,
            unsaid,
        })
    }

    /// A message for another node alone, in the codec of this name, where it is spoken here.
    pub(crate) fn encode_for_nodes(
        &self,
        codec: &str,
        message: &Message,
    ) -> Result<(Bytes, FrameKind), CodecError> {
        let (_, body, kind) = encoder::encode(self.codec_named(codec)?, message)?;
        Ok((body, kind))
    }

    /// The frames of a message that has come encoded, from another node, and why some don't get it.
    pub(crate) fn transcode(
        &self,
        codec: &str,
        (kind, body): (FrameKind, &Bytes),
        whom: Whom,
    ) -> Result<(Frames, Option<Unsaid>), CodecError> {
        let is_ours = codec == self.codec.name();
        if is_ours && !self.others_are_spoken(whom) {
            let first = encoder::frame_of(kind, body);
            // Read for its route alone, where that matters, and compressed in no case where it can't be.
            let route = || {
                let decoded = encoder::unbroken(|| self.decode(codec, kind, body.clone()));
                Some(decoded.ok()?.route().to_owned().into())
            };
            return Ok((self.frames(first, Box::default(), route), None));
        }
        self.codec_named(codec)?;
        // Who speaks what it came in needs nobody to read it.
        let decoded = encoder::unbroken(|| self.decode(codec, kind, body.clone()));
        let frame = |encoder: &Encoder| match encoder.codec() {
            Some(spoken) if spoken.name() == codec => Ok(encoder::frame_of(kind, body)),
            _ => encoder.frame_if_any(decoded.as_ref().map_err(Clone::clone)?),
        };
        let (others, mut unsaid) = self.others(whom, frame);
        let first = frame(&self.own.encoder).unwrap_or_else(|error| {
            Unsaid::add(&mut unsaid, DialectId::CODEC, error);
            Bytes::new()
        });
        let route = || Some(decoded.as_ref().ok()?.route().into());
        Ok((self.frames(first, others, route), unsaid))
    }

    /// Reads a message that has come from another node or a history, in any of the codecs here.
    pub(crate) fn decode(
        &self,
        codec: &str,
        kind: FrameKind,
        body: Bytes,
    ) -> Result<Message, CodecError> {
        let frame = match kind {
            FrameKind::Text => Frame::Text(Text::try_from(body).map_err(|error| {
                let context = "expected text of another node; got bytes that are no UTF-8";
                CodecError::new(CodecErrorKind::Malformed, context).with_source(error)
            })?),
            FrameKind::Binary => Frame::Binary(body),
        };
        self.codec_named(codec)?.decode(frame)
    }

    fn all(&self) -> impl Iterator<Item = &Spoken> {
        std::iter::once(&self.own).chain(&self.others)
    }

    fn codec_named(&self, name: &str) -> Result<&dyn Codec, CodecError> {
        let mut codecs = self.all().filter_map(|spoken| spoken.encoder.codec());
        let named = codecs.find(|codec| codec.name() == name);
        named.ok_or_else(|| {
            let ours = self.codec.name();
            let context = format!("expected a message of the codec {ours:?}; got one of {name:?}");
            CodecError::new(CodecErrorKind::Malformed, context)
        })
    }

    fn others_are_spoken(&self, whom: Whom) -> bool {
        self.others.iter().any(|other| other.is_wanted_by(whom))
    }

    /// A frame for each of the other dialects; an empty one where nobody gets it. What one of them
    /// fails at is no loss for those who speak another.
    fn others(
        &self,
        whom: Whom,
        frame: impl Fn(&Encoder) -> Result<Bytes, CodecError>,
    ) -> (Box<[Bytes]>, Option<Unsaid>) {
        if !self.others_are_spoken(whom) {
            return (Box::default(), None);
        }
        let mut unsaid = None;
        let numbered = self.ids().skip(1).zip(&self.others);
        let frames = numbered.map(|(id, other)| {
            // Who comes just now comes after this message.
            if !other.is_wanted_by(whom) {
                return Bytes::new();
            }
            frame(&other.encoder).unwrap_or_else(|error| {
                if other.is_wanted_by(Whom::Present) {
                    Unsaid::add(&mut unsaid, id, error);
                }
                Bytes::new()
            })
        });
        (frames.collect(), unsaid)
    }
}

/// What some dialects could not say, though somebody here speaks them.
#[derive(Debug)]
pub(crate) struct Unsaid {
    /// The first failure.
    pub(crate) error: CodecError,
    /// A bit for each.
    dialects: u32,
}

impl Unsaid {
    fn add(this: &mut Option<Self>, id: DialectId, error: CodecError) {
        let this = this.get_or_insert(Self { error, dialects: 0 });
        this.dialects |= 1 << id.number();
    }

    /// Whether it is lost to those who speak this.
    pub(crate) const fn concerns(&self, id: DialectId) -> bool {
        self.dialects & (1 << id.number()) != 0
    }
}

impl Spoken {
    fn is_wanted_by(&self, whom: Whom) -> bool {
        whom == Whom::Anybody || self.sessions.load(SeqCst) > 0
    }
}

impl fmt::Debug for Dialects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.all().map(|spoken| spoken.encoder.name());
        f.debug_list().entries(names).finish()
    }
}
