//! Without the feature: nothing of all that.

use std::borrow::Cow;

use bytes::Bytes;
use realtime_websocket::{
    Decoder, Event, Limits, Role, Violation,
    frame::{self, Kind},
};

// Made as the one with something in it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Compression();

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Agreed();

impl Compression {
    pub(crate) const fn offer(self) -> Option<String> {
        None
    }

    /// # Errors
    /// Why what the server has answered is no answer, for people.
    pub(crate) fn accept(self, answered: &[&str]) -> Result<Agreed, Cow<'static, str>> {
        super::accept_nothing(answered)
    }
}

pub(crate) struct Wire(Decoder);

impl Wire {
    pub(crate) const fn new(limits: Limits, _: Agreed) -> Self {
        Self(Decoder::new(Role::Client, limits))
    }

    pub(crate) fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        self.0.decode(input)
    }

    pub(crate) fn message(&mut self, kind: Kind, payload: &[u8], key: [u8; 4]) -> Bytes {
        frame::client_frame(true, kind, payload, key)
    }
}
