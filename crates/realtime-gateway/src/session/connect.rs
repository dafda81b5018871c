//! The beginning of a session: presence and the connect hooks.

use std::future::{Future, poll_fn};

use realtime_core::{CloseCode, DisconnectInfo, Initiator, presence::Presence};

use super::{
    guarded::{Failed, guarded},
    live::Live,
};
use crate::{ErrorStage, lease, shared::Shared};

/// Presence, then the hooks. Returns whether the session is fully connected; if not, it is
/// closing.
pub(super) async fn connect(shared: &Shared, live: &mut Live) -> bool {
    let session = live.session.clone();
    let ttl = shared.config.presence_ttl;
    let info = [session.info()];
    let registered = while_writing(live, shared.presence.register(&info, ttl)).await;
    if let Err(error) = registered {
        if shared.config.require_presence {
            let code = Some(CloseCode::TRY_AGAIN_LATER);
            let info = DisconnectInfo::new(Initiator::Error, code, "presence is unavailable");
            session.end_counted(&shared.stats.connects_refused, info.with_error(error));
            return false;
        }
        shared.report(ErrorStage::Presence, error, Some(session.clone()));
        // It is registered with the next renewal, which comes soon.
        lease::register_later(shared);
    }
    for (ran, hook) in shared.hooks.connect.iter().enumerate() {
        if session.is_closed() {
            return ran > 0;
        }
        let called = async { hook(shared.weak(), session.clone()).await };
        match while_writing(live, guarded(shared, called)).await {
            Ok(()) => {}
            Err(Failed::Refused(error)) => {
                let code = Some(CloseCode::POLICY_VIOLATION);
                let info = DisconnectInfo::new(Initiator::Server, code, "refused");
                session.end_counted(&shared.stats.connects_refused, info.with_error(error));
                return false;
            }
            Err(Failed::Broken(error)) => {
                let code = Some(CloseCode::INTERNAL_ERROR);
                let reason = "the connect hook failed";
                let info = DisconnectInfo::new(Initiator::Error, code, reason);
                session.end_counted(&shared.stats.connects_refused, info.with_error(error));
                return false;
            }
        }
    }
    true
}

/// Drives something while what waits for the peer is written, and nothing is read.
async fn while_writing<T>(live: &mut Live, what: impl Future<Output = T>) -> T {
    tokio::pin!(what);
    poll_fn(|cx| {
        live.pump(cx);
        what.as_mut().poll(cx)
    })
    .await
}
