//! Looks at the node once a second, for all who look at the page together, while there is one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use realtime_codec_json::Json;
use realtime_core::CloseCode;
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

    /// Ends it where nobody has looked for a while. Returns whether that is so.
    fn stop_if_idle(&self, looking: u64) -> bool {
        let mut state = self.lock();
        let is_idle = state.wanted.is_none_or(|since| since.elapsed() >= IDLE);
        if looking == 0 && is_idle {
            state.runs = false;
        }
        !state.runs
    }
}

/// It runs, until this is dropped, however that comes about: then it can begin anew.
struct Runs(Weak<Socket>);

impl Runs {
    fn leave(&mut self) {
        self.0 = Weak::new();
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        if let Some(socket) = self.0.upgrade() {
            socket.sampler.lock().runs = false;
        }
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
    let mut runs = Runs(Arc::downgrade(socket));
    tokio::spawn(async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(socket) = runs.0.upgrade() else {
                return;
            };
            end_revoked(&socket);
            let inspection = socket.sampler.host.inspect();
            // Nobody is there, or it ends itself: then there is nothing to say.
            let _told = socket.gateway.broadcast("node", Json(&inspection)).await;
            if inspection.phase == Phase::Ending {
                socket.gateway.shutdown().await;
                return;
            }
            if socket.sampler.stop_if_idle(socket.gateway.stats().open) {
                // From here on another one may run.
                runs.leave();
                return;
            }
        }
    });
}

/// Ends the pages of those whom the gateway has revoked a moment ago. Who comes is asked about by the
/// guard.
fn end_revoked(socket: &Socket) {
    for page in socket.gateway.local_sessions() {
        if socket.sampler.host.__has_heard_revoked(&page.identity()) {
            page.close(CloseCode::UNAUTHORIZED, "revoked");
        }
    }
}
