//! What a client sends, compressed or not.

use std::cell::Cell;

use realtime_websocket::{
    Decoder, Event, Limits, Role, Violation,
    deflate::{InflatingDecoder, SpareInflater},
};

use super::{Agreed, agreed::Terms, turn::TURN};

thread_local! {
    // Taken for a message and put back after it, by whichever sessions the thread runs.
    static INFLATER: Cell<SpareInflater> = const { Cell::new(SpareInflater::new()) };
}

/// The decoder of a connection. One without compression is no larger for it.
#[derive(Debug)]
pub(crate) enum Incoming {
    Plain(Decoder),
    Inflating(Box<Inflating>),
}

#[derive(Debug)]
pub(crate) struct Inflating {
    decoder: InflatingDecoder,
    /// How many bytes were inflated since others had a turn.
    inflated: usize,
}

impl Incoming {
    pub(crate) fn new(limits: Limits, Agreed(terms): Agreed) -> Self {
        match terms {
            None => Self::Plain(Decoder::new(Role::Server, limits)),
            Some(Terms {
                agreed, max_ratio, ..
            }) => {
                let decoder = InflatingDecoder::new(Role::Server, limits, Some(agreed));
                Self::inflating(decoder.with_ratio(max_ratio))
            }
        }
    }

    fn inflating(decoder: InflatingDecoder) -> Self {
        let inflated = 0;
        Self::Inflating(Box::new(Inflating { decoder, inflated }))
    }

    #[inline]
    pub(crate) fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        match self {
            Self::Plain(decoder) => decoder.decode(input),
            Self::Inflating(inflating) => inflating.decode(input),
        }
    }

    /// Whether messages may be compressed.
    #[inline]
    pub(crate) const fn is_inflating(&self) -> bool {
        matches!(self, Self::Inflating(_))
    }

    /// Whether it is the turn of others, since so much was inflated: true once for each time.
    #[inline]
    pub(crate) fn pauses(&mut self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Inflating(inflating) => inflating.pauses(),
        }
    }

    pub(crate) fn scout(&self) -> Self {
        match self {
            Self::Plain(decoder) => Self::Plain(decoder.scout()),
            Self::Inflating(inflating) => Self::inflating(inflating.decoder.scout()),
        }
    }

    pub(crate) fn discard_messages(&mut self) {
        match self {
            Self::Plain(decoder) => decoder.discard_messages(),
            Self::Inflating(inflating) => inflating.decoder.discard_messages(),
        }
    }

    pub(crate) fn discarded(&self) -> u32 {
        match self {
            Self::Plain(decoder) => decoder.discarded(),
            Self::Inflating(inflating) => inflating.decoder.discarded(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Plain(decoder) => decoder.is_done(),
            Self::Inflating(inflating) => inflating.decoder.is_done(),
        }
    }

    pub(crate) fn is_assembling(&self) -> bool {
        match self {
            Self::Plain(decoder) => decoder.is_assembling(),
            Self::Inflating(inflating) => inflating.decoder.is_assembling(),
        }
    }

    /// The memory that it holds: of what is unfinished, and what is kept from message to message.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Plain(decoder) => decoder.buffered(),
            Self::Inflating(inflating) => inflating.memory(),
        }
    }
}

impl Inflating {
    #[inline(never)]
    fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        let before = self.memory();
        // A thread that ends keeps none.
        let mut spare = INFLATER.try_with(Cell::take).unwrap_or_default();
        let event = self.decoder.decode_with(input, &mut spare);
        let _kept_or_not = INFLATER.try_with(|kept| kept.set(spare));
        let whole = match &event {
            Ok(Some(Event::Text(text))) => text.len(),
            Ok(Some(Event::Binary(bytes))) => bytes.len(),
            _ => 0,
        };
        self.inflated += (whole + self.memory()).saturating_sub(before);
        event
    }

    fn pauses(&mut self) -> bool {
        let pauses = self.inflated >= TURN;
        if pauses {
            self.inflated = 0;
        }
        pauses
    }

    fn memory(&self) -> usize {
        self.decoder.buffered() + self.decoder.retained()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_compression_is_no_larger_for_it() {
        assert_eq!(size_of::<Incoming>(), size_of::<Decoder>());
    }
}
