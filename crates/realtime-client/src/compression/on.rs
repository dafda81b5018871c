//! With the feature: what is offered and accepted, and frames that may be compressed.

use std::{borrow::Cow, cell::Cell};

use bytes::Bytes;
use realtime_websocket::{
    Event, Limits, Role, Violation, deflate,
    deflate::{Compressor, InflatingDecoder, Level, Policy, SpareInflater},
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

    /// # Errors
    /// Why what the server has answered is no answer, for people.
    pub(crate) fn accept(self, answered: &[&str]) -> Result<Agreed, Cow<'static, str>> {
        let Some(policy) = self.0 else {
            return super::accept_nothing(answered);
        };
        let answered = answered.iter().map(|value| value.as_bytes());
        let agreed = policy.accept(answered);
        agreed
            .map(Agreed)
            .map_err(|error| format!("it compresses otherwise than it was offered: {error}").into())
    }
}

thread_local! {
    // Taken for a message and put back after it, by whichever connections the thread has.
    static INFLATER: Cell<SpareInflater> = const { Cell::new(SpareInflater::new()) };
    static COMPRESSOR: Cell<Option<Box<Compressor>>> = const { Cell::new(None) };
}

pub(crate) struct Wire {
    decoder: InflatingDecoder,
    /// Where the server's window is too small for what the thread's own makes of a message.
    own: Option<Box<Compressor>>,
}

impl Wire {
    /// Shorter messages are not compressed.
    const LEAST: usize = 512;

    pub(crate) const fn new(limits: Limits, Agreed(agreed): Agreed) -> Self {
        Self {
            // The limit on a message is one on what this server may cost. It may send what compresses
            // well.
            decoder: InflatingDecoder::new(Role::Client, limits, agreed).with_ratio(None),
            own: None,
        }
    }

    pub(crate) fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        if self.decoder.agreed().is_none() {
            return self.decoder.decode(input);
        }
        let mut spare = INFLATER.try_with(Cell::take).unwrap_or_default();
        let event = self.decoder.decode_with(input, &mut spare);
        // A thread that ends keeps none.
        let _kept_or_not = INFLATER.try_with(|kept| kept.set(spare));
        event
    }

    pub(crate) fn message(&mut self, kind: Kind, payload: &[u8], key: [u8; 4]) -> Bytes {
        let agreed = self.decoder.agreed();
        let Some(agreed) = agreed.filter(|_| payload.len() >= Self::LEAST) else {
            return frame::client_frame(true, kind, payload, key);
        };
        if agreed.takes_shared(payload.len()) {
            let kept = COMPRESSOR.try_with(Cell::take).ok().flatten();
            let mut compressor = kept.unwrap_or_else(|| {
                Box::new(Compressor::new(Level::default()).with_floor(Self::LEAST))
            });
            let frame = compressor.client_frame(kind, payload, key);
            let _kept_or_not = COMPRESSOR.try_with(|kept| kept.set(Some(compressor)));
            return frame;
        }
        let Some(flow) = agreed.send else {
            return frame::client_frame(true, kind, payload, key);
        };
        self.own
            .get_or_insert_with(|| {
                let compressor = Compressor::with_flow(flow, Level::default());
                Box::new(compressor.with_floor(Self::LEAST))
            })
            .client_frame(kind, payload, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(answer: &str) -> Wire {
        let never = "permessage-deflate; server_no_context_takeover";
        let agreed = Compression(Some(Policy::default())).accept(&[&format!("{never}{answer}")]);
        Wire::new(Limits::default(), agreed.unwrap())
    }

    fn long(bytes: usize) -> String {
        "so much ado ".chars().cycle().take(bytes).collect()
    }

    fn inflater() -> usize {
        INFLATER.with(|kept| {
            let spare = kept.take();
            let memory = spare.memory();
            kept.set(spare);
            memory
        })
    }

    #[test]
    fn the_connections_of_a_thread_share_what_a_message_takes() {
        let (mut one, mut two) = (wire(""), wire(""));
        assert_eq!(inflater(), 0);
        for wire in [&mut one, &mut two] {
            let text = long(10_000);
            let frame = wire.message(Kind::Text, text.as_bytes(), [1, 2, 3, 4]);
            assert_eq!((frame[0], wire.own.is_none()), (0xc1, true));
            let frame = Compressor::new(Level::Fast).server_frame(Kind::Text, text.as_bytes());
            let event = wire.decode(&mut &frame[..]);
            assert_eq!(event, Ok(Some(Event::Text(text))));
            assert!(inflater() > 0);
        }
        let kept = COMPRESSOR.with(Cell::take);
        assert!(kept.is_some());
    }

    #[test]
    fn a_small_window_takes_a_compressor_of_its_own_once_a_message_is_larger() {
        let mut wire = wire("; client_max_window_bits=10");
        for (bytes, has_own) in [(600, false), (1_024, false), (1_025, true), (600, true)] {
            let frame = wire.message(Kind::Text, long(bytes).as_bytes(), [1, 2, 3, 4]);
            assert_eq!((frame[0], wire.own.is_some()), (0xc1, has_own), "{bytes}");
        }
    }
}
