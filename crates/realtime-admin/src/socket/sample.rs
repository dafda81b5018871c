//! Looks at the node once a second, for all who look at the page together, while there is one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use realtime_codec_json::Json;
use realtime_gateway::{Gateway, Phase};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Socket;

const EVERY: Duration = Duration::from_secs(1);
/// Who was let in has become a session by then, or won't.
const IDLE: Duration = Duration::from_secs(15);

/// What looks at the node.
pub(super) struct Sampler {
    host: Gateway,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    runs: bool,
    wanted: Option<Instant>,
}

impl Sampler {
    pub(super) fn new(host: Gateway) -> Self {
        Self {
            host,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has looked for a while. From then on it doesn't run.
    fn rests(&self, looking: u64) -> bool {
        let mut state = self.lock();
        let is_idle = state.wanted.is_none_or(|since| since.elapsed() >= IDLE);
        if looking == 0 && is_idle {
            state.runs = false;
        }
        !state.runs
    }
}

/// Somebody is about to look. What runs then holds neither gateway from one second to the next, and ends
/// with them.
pub(super) fn begin(socket: &Arc<Socket>) {
    let mut state = socket.sampler.lock();
    state.wanted = Some(Instant::now());
    if std::mem::replace(&mut state.runs, true) {
        return;
    }
    drop(state);
    let socket = Arc::downgrade(socket);
    tokio::spawn(async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(socket) = socket.upgrade() else {
                return;
            };
            let inspection = socket.sampler.host.inspect();
            // Nobody is there, or it ends itself: then there is nothing to say.
            let _told = socket.gateway.broadcast("node", Json(&inspection)).await;
            if inspection.phase == Phase::Ending {
                socket.gateway.shutdown().await;
                return;
            }
            if socket.sampler.rests(socket.gateway.stats().open) {
                return;
            }
        }
    });
}
