//! An identity that ends: its client is told, and closed where it shows nothing fresh.

use std::task::Context;

use realtime_core::codec::Notice;

use super::Open;
use crate::{
    ErrorStage,
    clock::Millis,
    session::{Due, EndCause},
};

impl Open {
    /// Returns when it is to be looked at again, where that is so.
    pub(super) fn watch_identity(&mut self, cx: &mut Context<'_>) -> Option<Millis> {
        let grace = self.node.config.expiry_grace.unwrap_or_default();
        let clock = &self.node.env.clock;
        let living = self.session.living()?;
        let within = match living.due(clock, grace) {
            Due::Later(at) => return Some(at),
            Due::Over => {
                // A fresh token may stand behind what takes its time.
                let is_read = self.ahead.is_empty() && !self.is_unread();
                let is_behind = !is_read || !self.handling.is_idle();
                if is_behind && let Some(until) = living.wait_once(clock, grace) {
                    return Some(until);
                }
                self.session.end(EndCause::Expired);
                return None;
            }
            Due::Tell(within) => within,
        };
        let next = living.due(clock, grace);
        if let Err(error) = self.session.tell(&Notice::Expiring { within }) {
            self.report(ErrorStage::Message, error);
        }
        self.pump(cx);
        match next {
            Due::Later(at) => Some(at),
            Due::Tell(_) | Due::Over => Some(self.node.env.clock.now()),
        }
    }
}
