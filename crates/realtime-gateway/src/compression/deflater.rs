//! The gateway's side of compression: what it answers to clients, and frames made small.

use std::{fmt, sync::Arc, thread::available_parallelism};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};
use realtime_websocket::{
    Kind,
    deflate::{Compressor, Level, Policy, Window},
};

use super::{Agreed, agreed::Terms, plain_routes::PlainRoutes, turn};
use crate::{
    Config,
    config::{Compression, CompressionLevel},
    stats::Counters,
    sync::Mutex,
};

/// Compresses for all sessions of a node, where that is configured. By default nothing is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deflater(Option<Arc<On>>);

struct On {
    policy: Policy,
    level: Level,
    floor: usize,
    max_ratio: Option<u32>,
    plain_routes: PlainRoutes,
    /// Those that nobody uses now: as many as may be used at the same time are kept. They are the
    /// gateway's and not the threads', which may be many and used once.
    spare: Mutex<Vec<Compressor>>,
    kept: usize,
    stats: Arc<Counters>,
}

impl Deflater {
    pub(crate) fn new(config: &Config, stats: &Arc<Counters>) -> Self {
        let on = config
            .compression
            .as_ref()
            .map(|compression| Arc::new(On::new(compression, Arc::clone(stats))));
        Self(on)
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether some messages are not compressed, by their routes.
    pub(crate) fn asks_for_routes(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|on| !on.plain_routes.is_empty())
    }

    /// Whether messages on this route are compressed.
    pub(crate) fn takes(&self, route: &str) -> bool {
        self.0
            .as_ref()
            .is_some_and(|on| !on.plain_routes.contain(route))
    }

    /// What is agreed with a client that has sent these headers, and the header that tells it so.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> (Agreed, Option<HeaderValue>) {
        let Some(on) = &self.0 else {
            return (Agreed::default(), None);
        };
        let offered = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
        let answer = on.policy.answer(offered.map(HeaderValue::as_bytes));
        let told = answer.and_then(|answer| {
            let header = HeaderValue::from_str(answer.header()).ok()?;
            Some((answer.agreed(), header))
        });
        let Some((agreed, header)) = told else {
            return (Agreed::default(), None);
        };
        let terms = Terms {
            agreed,
            max_ratio: on.max_ratio,
            // A frame for all refers back as far as the window that was configured.
            takes_shared: agreed
                .send
                .is_some_and(|send| !send.takeover && send.window >= on.policy.send_window),
        };
        (Agreed(Some(terms)), Some(header))
    }

    /// Whether a message in a plain frame is long enough to be compressed.
    pub(crate) fn is_long_enough(&self, frame: &[u8]) -> bool {
        let Some(on) = &self.0 else { return false };
        message(frame).is_some_and(|(_, payload)| payload.len() >= on.floor)
    }

    /// The same message as in a plain frame, compressed; `None` where it is too short for it, or
    /// wouldn't shrink. Whether its route allows it is for the caller to know.
    pub(crate) fn compress(&self, frame: &Bytes) -> Option<Bytes> {
        let on = self.0.as_ref()?;
        let (kind, payload) = message(frame)?;
        if payload.len() < on.floor {
            return None;
        }
        let spare = on.spare.lock().pop();
        let mut compressor = spare.unwrap_or_else(|| on.compressor());
        let compressed = compressor.smaller_server_frame(kind, payload);
        turn::spend(payload.len());
        let mut spare = on.spare.lock();
        if spare.len() < on.kept {
            spare.push(compressor);
        }
        drop(spare);
        let Some(compressed) = compressed else {
            on.stats.compressed_in_vain.add(1);
            return None;
        };
        on.stats.compressed.add(1);
        on.stats.compressed_from_bytes.add(frame.len() as u64);
        on.stats.compressed_to_bytes.add(compressed.len() as u64);
        Some(compressed)
    }
}

impl On {
    fn new(compression: &Compression, stats: Arc<Counters>) -> Self {
        // Checked when the gateway is built.
        let window = Window::new(compression.window_bits).unwrap_or_default();
        Self {
            policy: Policy::default()
                .with_send_window(window)
                .with_receive_takeover(compression.receive_takeover),
            level: match compression.level {
                CompressionLevel::Fast => Level::Fast,
                CompressionLevel::Balanced => Level::Balanced,
                CompressionLevel::Small => Level::Small,
            },
            floor: compression.floor,
            max_ratio: compression.max_ratio,
            plain_routes: PlainRoutes::new(&compression.plain_routes),
            spare: Mutex::default(),
            kept: available_parallelism().map_or(1, usize::from),
            stats,
        }
    }

    fn compressor(&self) -> Compressor {
        Compressor::with_window(self.policy.send_window, self.level).with_floor(self.floor)
    }
}

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On")
            .field("policy", &self.policy)
            .field("level", &self.level)
            .field("floor", &self.floor)
            .finish_non_exhaustive()
    }
}

/// The message in one of our own frames, which is of one piece and without a mask. `None` for what is
/// empty, or no plain message.
fn message(frame: &[u8]) -> Option<(Kind, &[u8])> {
    let kind = match frame.first()? {
        0x81 => Kind::Text,
        0x82 => Kind::Binary,
        _ => return None,
    };
    let header = match frame.get(1)? {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    Some((kind, frame.get(header..)?))
}
