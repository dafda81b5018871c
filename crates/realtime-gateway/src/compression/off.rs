//! Without the feature: nothing of all that.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use realtime_websocket::{Decoder, Event, Limits, Role, Violation};

use crate::{Config, stats::Counters};

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Agreed(());

impl Agreed {
    pub(crate) const fn takes_compressed(self) -> bool {
        false
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Deflater(());

impl Deflater {
    pub(crate) const fn new(_: &Config, _: &Arc<Counters>) -> Self {
        Self(())
    }

    pub(crate) const fn is_on(&self) -> bool {
        false
    }

    pub(crate) const fn asks_for_routes(&self) -> bool {
        false
    }

    pub(crate) const fn answer(&self, _: &HeaderMap) -> (Agreed, Option<HeaderValue>) {
        (Agreed(()), None)
    }

    pub(crate) const fn takes(&self, _: &str) -> bool {
        false
    }

    pub(crate) const fn is_long_enough(&self, _: &[u8]) -> bool {
        false
    }

    pub(crate) const fn compress(&self, _: &Bytes) -> Option<Bytes> {
        None
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn(());

impl Turn {
    pub(crate) const fn begin() -> Self {
        Self(())
    }

    pub(crate) const fn is_over(self) -> bool {
        false
    }
}

#[derive(Debug)]
pub(crate) struct Incoming(Decoder);

impl Incoming {
    pub(crate) const fn new(limits: Limits, _: Agreed) -> Self {
        Self(Decoder::new(Role::Server, limits))
    }

    #[inline]
    pub(crate) fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        self.0.decode(input)
    }

    pub(crate) const fn is_inflating(&self) -> bool {
        false
    }

    pub(crate) const fn pauses(&mut self) -> bool {
        false
    }

    pub(crate) fn scout(&self) -> Self {
        Self(self.0.scout())
    }

    pub(crate) fn discard_messages(&mut self) {
        self.0.discard_messages();
    }

    pub(crate) const fn discarded(&self) -> u32 {
        self.0.discarded()
    }

    pub(crate) const fn is_done(&self) -> bool {
        self.0.is_done()
    }

    pub(crate) fn is_assembling(&self) -> bool {
        self.0.is_assembling()
    }

    pub(crate) fn memory(&self) -> usize {
        self.0.buffered()
    }
}
