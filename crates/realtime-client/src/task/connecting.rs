//! Attempts, their ends, and what follows from those.

use std::{sync::Arc, time::Duration};

use realtime_core::Payload;
use serde::Serialize;
use tokio::time::Instant;

use super::{Phase, Task};
use crate::{
    End, State,
    advice::{self, Advice, read_reason},
    dial::{Failed, Opened, dial},
    outbox::Done,
    token::{TokenIn, TokenReason},
    upgrade::Unopened,
};

#[derive(Serialize)]
struct Credential<'t> {
    token: &'t str,
}

impl Task {
    pub(super) fn attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
        tracing::debug!(target: crate::LOG, attempt = self.attempts, "connecting");
        self.state.send_replace(State::Connecting);
        let (settings, stale) = (Arc::clone(&self.settings), self.stale.clone());
        let dialling = dial(settings, self.reason, stale, Arc::clone(&self.tried));
        self.phase = Phase::Opening(Box::pin(dialling));
    }

    pub(super) fn opened(&mut self, opened: Result<Opened, Failed>) {
        let failed = match opened {
            Ok(Opened { link, token }) => {
                tracing::debug!(target: crate::LOG, "the connection is open");
                self.link += 1;
                self.phase = Phase::Open(Box::new(link));
                let is_said = self.settings.token_in == TokenIn::Message;
                self.shown = token;
                match is_said && self.shown.is_some() {
                    true => self.show(true),
                    false => self.greet(false),
                }
                return;
            }
            Err(failed) => failed,
        };
        match failed {
            Failed::NoToken(text) => self.wait(End::private(text), None),
            Failed::Nobody => {
                // Who has no other token after a refusal stays away for that.
                let refusal = self.refusal.take();
                self.finish(refusal.unwrap_or_else(|| End::unopened("nobody is signed in")));
            }
            Failed::Stale => {
                let code = if self.was_refused { 3500 } else { 3005 };
                let end = End::closed(
                    code,
                    "there is no other token than the one that was refused",
                );
                match self.was_refused {
                    true => self.finish(end),
                    false => self.wait(end, None),
                }
            }
            Failed::TooLate => self.wait(End::unopened("the connection didn't open in time"), None),
            Failed::Unopened(Unopened::Io(error), _) => {
                self.wait(
                    End::unopened(format!("the connection can't be opened: {error}")),
                    None,
                );
            }
            Failed::Unopened(Unopened::Other(text), _) => {
                self.backoff.slow();
                self.wait(End::unopened(text), None);
            }
            Failed::Unopened(
                Unopened::Refused {
                    status,
                    retry_after,
                },
                token,
            ) => {
                self.shown = token;
                let mut end = End::unopened("");
                end.status = Some(status);
                self.obey(
                    Advice::of_status(status),
                    end,
                    retry_after.and_then(advice::slot),
                );
            }
        }
    }

    /// Shows the token on this connection.
    pub(super) fn show(&mut self, first: bool) {
        let Some(token) = &self.shown else {
            return;
        };
        let credential = Credential {
            token: token.expose(),
        };
        // A string always is JSON.
        let data = Payload::json(&credential).unwrap_or_default();
        self.ask_for_itself("authenticate", data, Done::Shown { first });
    }

    /// Says something to which there is an answer. An open connection may be one that the server ends
    /// at once, and throws away what was sent. So it counts from the server's first word on, and what
    /// mustn't be lost waits until then.
    pub(super) fn greet(&mut self, is_accepted: bool) {
        self.is_open = true;
        let names: Vec<_> = self.rooms.keys().cloned().collect();
        for name in names {
            self.enter(&name);
        }
        if is_accepted {
            self.online();
        } else if let Phase::Open(link) = &mut self.phase {
            link.probe();
        }
    }

    pub(super) fn online(&mut self) {
        if self.is_online {
            return;
        }
        self.is_online = true;
        tracing::debug!(target: crate::LOG, rooms = self.rooms.len(), "online");
        self.state.send_replace(State::Online);
        self.flush();
    }

    /// The attempt was a success.
    pub(super) fn proven(&mut self) {
        self.backoff.reset();
        self.tried.forget();
        (self.attempts, self.was_refused) = (0, false);
        self.refusal = None;
        self.reason = TokenReason::Connect;
    }

    pub(super) fn closed(&mut self, mut end: End) {
        let (reason, slot) = read_reason(&end.reason);
        end.reason = reason;
        let advice = Advice::of_close(end.code.unwrap_or_default());
        self.obey(advice, end, slot);
    }

    fn obey(&mut self, advice: Advice, end: End, slot: Option<Duration>) {
        self.reason = TokenReason::Connect;
        match advice {
            Advice::Away => return self.finish(end),
            Advice::Refused if self.settings.token.is_none() || self.was_refused => {
                return self.finish(end);
            }
            Advice::Refused => {
                self.was_refused = true;
                self.refusal = Some(end.clone());
                self.reason = TokenReason::Refused;
                self.stale = self.shown.take().or(self.stale.take());
            }
            Advice::Expired => {
                self.refusal = Some(end.clone());
                self.reason = TokenReason::Expired;
                self.stale = self.shown.take().or(self.stale.take());
            }
            Advice::Later => self.backoff.slow(),
            Advice::Back => {}
        }
        self.wait(end, slot);
    }

    pub(super) fn wait(&mut self, end: End, slot: Option<Duration>) {
        if self
            .settings
            .max_attempts
            .is_some_and(|most| self.attempts >= most)
        {
            return self.finish(end);
        }
        // No sooner than it is told, and not all that are told the same at once.
        let wait = slot.unwrap_or_default().max(self.backoff.wait());
        let until = Instant::now() + wait;
        log(&end, Some(wait));
        self.phase = Phase::Waiting(until);
        self.lose(State::Waiting { until, why: end }, false);
    }
}

/// A reason may be the server's own words, and what gets a token may have put that into its error.
pub(super) fn log(end: &End, wait: Option<Duration>) {
    let End { code, status, .. } = end;
    let reason = end.shown();
    match wait {
        Some(wait) => {
            tracing::debug!(target: crate::LOG, ?code, ?status, %reason, ?wait, "no connection");
        }
        None => tracing::debug!(target: crate::LOG, ?code, ?status, %reason, "ended"),
    }
}
