//! With the feature: what is offered and accepted, and frames that may be compressed.

use bytes::Bytes;
use realtime_websocket::{
    Event, Limits, Role, Violation, deflate,
    deflate::{Compressor, InflatingDecoder, Level, Policy},
    frame::{self, Kind},
};

/// What is offered to the server, if anything: without takeover, so that an idle connection holds
/// no window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Compression(pub(crate) Option<Policy>);

/// What the server has agreed to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Agreed(Option<deflate::Agreed>);

impl Compression {
    pub(crate) fn offer(self) -> Option<String> {
        self.0.map(|policy| policy.offer())
    }

    /// `None` where the server has answered something else than it was offered.
    pub(crate) fn accept(self, answered: &[&str]) -> Option<Agreed> {
        let Some(policy) = self.0 else {
            return Some(Agreed(None));
        };
        let answered = answered.iter().map(|value| value.as_bytes());
        policy.accept(answered).ok().map(Agreed)
    }
}

pub(crate) struct Wire {
    decoder: InflatingDecoder,
    /// Made with the first message that is long enough.
    compressor: Option<Box<Compressor>>,
}

impl Wire {
    /// Shorter messages are not compressed.
    const LEAST: usize = 512;

    pub(crate) const fn new(limits: Limits, Agreed(agreed): Agreed) -> Self {
        Self {
            decoder: InflatingDecoder::new(Role::Client, limits, agreed),
            compressor: None,
        }
    }

    pub(crate) fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        self.decoder.decode(input)
    }

    pub(crate) fn message(&mut self, kind: Kind, payload: &[u8], key: [u8; 4]) -> Bytes {
        let flow = self.decoder.agreed().and_then(|agreed| agreed.send);
        match flow {
            Some(flow) if payload.len() >= Self::LEAST => self
                .compressor
                .get_or_insert_with(|| {
                    let compressor = Compressor::with_flow(flow, Level::default());
                    Box::new(compressor.with_floor(Self::LEAST))
                })
                .client_frame(kind, payload, key),
            _ => frame::client_frame(true, kind, payload, key),
        }
    }
}
