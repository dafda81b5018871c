//! The protocols that the clients of a node speak: the codec's own, and others beside it.
//!
//! The codec is also how messages travel between nodes and how histories keep them. What each client
//! gets is encoded and framed once for each protocol that somebody here speaks.

mod encoder;
mod frames;

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use realtime_core::{
    BoxError, Message, Text,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind},
};

use crate::guarded::{Whose, caught};

pub(crate) use encoder::{Encoder, frame_of};
pub(crate) use frames::Frames;

/// The number of a dialect among those of its node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DialectId(u8);

impl DialectId {
    /// The codec's own.
    pub(crate) const CODEC: Self = Self(0);
}

/// All dialects of a node.
pub(crate) struct Dialects {
    codec: Arc<dyn Codec>,
    own: Spoken,
    others: Box<[Spoken]>,
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
        }
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
        match usize::from(id.0).checked_sub(1) {
            None => &self.own,
            Some(other) => self.others.get(other).unwrap_or(&self.own),
        }
    }

    /// All of them, the codec's own first.
    pub(crate) fn ids(&self) -> impl Iterator<Item = DialectId> {
        (0..=self.others.len() as u8).map(DialectId)
    }

    /// The one of this name.
    pub(crate) fn named(&self, name: &[u8]) -> Option<DialectId> {
        self.ids().find(|id| self.of(*id).name().as_bytes() == name)
    }

    /// A session that speaks this has come.
    pub(crate) fn came(&self, id: DialectId) {
        if id != DialectId::CODEC {
            self.spoken(id).sessions.fetch_add(1, SeqCst);
        }
    }

    /// One has gone.
    pub(crate) fn went(&self, id: DialectId) {
        if id != DialectId::CODEC {
            self.spoken(id).sessions.fetch_sub(1, SeqCst);
        }
    }

    /// A message for sessions of this node and for other nodes.
    pub(crate) fn encode(&self, message: &Message) -> Result<Encoded, CodecError> {
        let (first, body, kind) = encoder::encode(&*self.codec, message)?;
        let others = self.others(Whom::Present, |encoder| encoder.frame_if_any(message))?;
        let frames = Frames::new(first, others);
        Ok(Encoded { frames, body, kind })
    }

    /// The same for other nodes alone.
    pub(crate) fn encode_for_nodes(
        &self,
        message: &Message,
    ) -> Result<(Bytes, FrameKind), CodecError> {
        let (_, body, kind) = encoder::encode(&*self.codec, message)?;
        Ok((body, kind))
    }

    /// The frames of a message that has come encoded, from another node or a history. What a
    /// dialect can't say is beside them, as an error, and its sessions don't get it.
    pub(crate) fn transcode(
        &self,
        codec: &str,
        (kind, body): (FrameKind, &Bytes),
        whom: Whom,
    ) -> Result<(Frames, Option<BoxError>), CodecError> {
        let is_ours = codec == self.codec.name();
        let is_all = is_ours && !self.others_are_spoken(whom);
        if is_all {
            return Ok((Frames::of_codec(encoder::frame_of(kind, body)), None));
        }
        let message = self.decode(codec, kind, body.clone())?;
        let first = match is_ours {
            true => encoder::frame_of(kind, body),
            false => encoder::encode(&*self.codec, &message)?.0,
        };
        Ok(self.with_others(first, &message, whom))
    }

    /// A message that is kept already, likewise, for those too who come while it waits.
    pub(crate) fn encode_kept(
        &self,
        message: &Message,
    ) -> Result<(Encoded, Option<BoxError>), CodecError> {
        let (first, body, kind) = encoder::encode(&*self.codec, message)?;
        let (frames, failed) = self.with_others(first, message, Whom::Anybody);
        Ok((Encoded { frames, body, kind }, failed))
    }

    fn with_others(
        &self,
        first: Bytes,
        message: &Message,
        whom: Whom,
    ) -> (Frames, Option<BoxError>) {
        let mut failed = None;
        let others = self.others(whom, |encoder| {
            // What one dialect fails at is no loss for those who speak another.
            let frame = caught(Whose::Codec, || encoder.frame_if_any(message));
            let frame = frame.map_err(BoxError::from);
            let frame = frame.and_then(|frame| frame.map_err(BoxError::from));
            Ok::<_, Infallible>(frame.unwrap_or_else(|error| {
                failed.get_or_insert(error);
                Bytes::new()
            }))
        });
        let others = others.unwrap_or_else(|never| match never {});
        (Frames::new(first, others), failed)
    }

    /// Reads a message that has come from another node or a history, in any of the codecs here.
    pub(crate) fn decode(
        &self,
        codec: &str,
        kind: FrameKind,
        body: Bytes,
    ) -> Result<Message, CodecError> {
        let known = self.codec_named(codec).ok_or_else(|| {
            let ours = self.codec.name();
            let context = format!("expected a message of the codec {ours:?}; got one of {codec:?}");
            CodecError::new(CodecErrorKind::Malformed, context)
        })?;
        let frame = match kind {
            FrameKind::Text => Frame::Text(Text::try_from(body).map_err(|error| {
                let context = "expected text of another node; got bytes that are no UTF-8";
                CodecError::new(CodecErrorKind::Malformed, context).with_source(error)
            })?),
            FrameKind::Binary => Frame::Binary(body),
        };
        known.decode(frame)
    }

    fn all(&self) -> impl Iterator<Item = &Spoken> {
        std::iter::once(&self.own).chain(&self.others)
    }

    fn codec_named(&self, name: &str) -> Option<&dyn Codec> {
        let mut codecs = self.all().filter_map(|spoken| spoken.encoder.codec());
        codecs.find(|codec| codec.name() == name)
    }

    fn others_are_spoken(&self, whom: Whom) -> bool {
        self.others.iter().any(|other| other.is_wanted_by(whom))
    }

    /// A frame for each of the other dialects; an empty one where nobody gets it.
    fn others<E>(
        &self,
        whom: Whom,
        mut frame: impl FnMut(&Encoder) -> Result<Bytes, E>,
    ) -> Result<Option<Arc<[Bytes]>>, E> {
        if !self.others_are_spoken(whom) {
            return Ok(None);
        }
        let frames = self.others.iter().map(|other| {
            // Who comes just now comes after this message.
            match other.is_wanted_by(whom) {
                true => frame(&other.encoder),
                false => Ok(Bytes::new()),
            }
        });
        frames.collect::<Result<_, _>>().map(Some)
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
