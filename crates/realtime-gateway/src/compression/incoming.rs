//! What a client sends, compressed or not.

use std::cell::Cell;

use realtime_websocket::{
    Decoder, Event, Limits, Role, Violation,
    deflate::{InflatingDecoder, SpareInflater},
};

use super::{Agreed, agreed::Terms};

thread_local! {
    // Taken for a message and put back after it, by whichever sessions the thread runs.
    static INFLATER: Cell<SpareInflater> = const { Cell::new(SpareInflater::new()) };
}

/// The decoder of a connection. One without compression is no larger for it.
#[derive(Debug)]
pub(crate) enum Incoming {
    Plain(Decoder),
    Inflating(Box<InflatingDecoder>),
}

impl Incoming {
    pub(crate) fn new(limits: Limits, Agreed(terms): Agreed) -> Self {
        match terms {
            None => Self::Plain(Decoder::new(Role::Server, limits)),
            Some(Terms {
                agreed, max_ratio, ..
            }) => {
                let decoder = InflatingDecoder::new(Role::Server, limits, Some(agreed));
                Self::Inflating(Box::new(decoder.with_ratio(max_ratio)))
            }
        }
    }

    #[inline]
    pub(crate) fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        match self {
            Self::Plain(decoder) => decoder.decode(input),
            Self::Inflating(decoder) => inflate(decoder, input),
        }
    }

    pub(crate) fn scout(&self) -> Self {
        match self {
            Self::Plain(decoder) => Self::Plain(decoder.scout()),
            Self::Inflating(decoder) => Self::Inflating(Box::new(decoder.scout())),
        }
    }

    pub(crate) fn discard_messages(&mut self) {
        match self {
            Self::Plain(decoder) => decoder.discard_messages(),
            Self::Inflating(decoder) => decoder.discard_messages(),
        }
    }

    pub(crate) fn discarded(&self) -> u32 {
        match self {
            Self::Plain(decoder) => decoder.discarded(),
            Self::Inflating(decoder) => decoder.discarded(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Plain(decoder) => decoder.is_done(),
            Self::Inflating(decoder) => decoder.is_done(),
        }
    }

    pub(crate) fn is_assembling(&self) -> bool {
        match self {
            Self::Plain(decoder) => decoder.is_assembling(),
            Self::Inflating(decoder) => decoder.is_assembling(),
        }
    }

    /// The memory that it holds: of what is unfinished, and what is kept from message to message.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Plain(decoder) => decoder.buffered(),
            Self::Inflating(decoder) => decoder.buffered() + decoder.retained(),
        }
    }
}

#[inline(never)]
fn inflate(decoder: &mut InflatingDecoder, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
    // A thread that ends keeps none.
    let mut spare = INFLATER.try_with(Cell::take).unwrap_or_default();
    let event = decoder.decode_with(input, &mut spare);
    let _kept_or_not = INFLATER.try_with(|kept| kept.set(spare));
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_compression_is_no_larger_for_it() {
        assert_eq!(size_of::<Incoming>(), size_of::<Decoder>());
    }
}
