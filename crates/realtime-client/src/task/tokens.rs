//! A fresh token on the same connection, until that has worked or the server closes it.

use std::{future::Future, pin::Pin, sync::Arc};

use realtime_core::Message;
use tokio::time::Instant;

use super::Task;
use crate::{
    RequestError,
    token::{Found, TokenReason},
};

type Asking = Pin<Box<dyn Future<Output = Result<Found, String>> + Send>>;

pub(super) enum Renewal {
    None,
    Later(Instant, TokenReason),
    Asking(Asking, TokenReason),
}

impl Renewal {
    pub(super) async fn next(&mut self) -> Result<Found, String> {
        match self {
            Self::Asking(asking, _) => asking.await,
            Self::None | Self::Later(..) => std::future::pending().await,
        }
    }

    pub(super) const fn at(&self) -> Option<Instant> {
        match self {
            Self::Later(at, _) => Some(*at),
            Self::None | Self::Asking(..) => None,
        }
    }
}

impl Task {
    pub(super) fn expiring(&mut self) {
        self.renewals.reset();
        self.renew(TokenReason::Expiring);
    }

    pub(super) fn renew_now(&mut self) {
        if let Renewal::Later(_, reason) = self.renewal {
            self.renew(reason);
        }
    }

    fn renew(&mut self, reason: TokenReason) {
        let Some(getter) = self.settings.token.clone() else {
            return;
        };
        if matches!(self.renewal, Renewal::Asking(..)) {
            return;
        }
        let (settings, stale) = (Arc::clone(&self.settings), self.stale.clone());
        let asking = async move {
            getter
                .ask(reason, stale.as_ref(), settings.connect_timeout)
                .await
        };
        self.renewal = Renewal::Asking(Box::pin(asking), reason);
    }

    pub(super) fn renew_with(&mut self, found: Result<Found, String>) {
        let Renewal::Asking(_, reason) = std::mem::replace(&mut self.renewal, Renewal::None) else {
            return;
        };
        match found {
            Ok(Found::Token(token)) => {
                self.shown = Some(token);
                self.show(false);
            }
            // Who has nothing to show is closed in a while, and asked once more then.
            Ok(Found::Nobody | Found::Stale) => {}
            Err(_not_now) => self.renew_later(reason, None),
        }
    }

    fn renew_later(&mut self, reason: TokenReason, wait: Option<std::time::Duration>) {
        let wait = wait.unwrap_or_default().max(self.renewals.wait());
        self.renewal = Renewal::Later(Instant::now() + wait, reason);
    }

    /// What the server says of the token that was shown.
    pub(super) fn shown(&mut self, first: bool, answer: Result<Message, RequestError>) {
        match answer {
            Ok(_) if first => self.greet(true),
            Ok(_) => {}
            // It takes no tokens in messages, and never will.
            Err(RequestError::Refused(refusal)) if first && refusal.code() == "unknown_route" => {
                let reason =
                    "the server takes no token in a message: `authenticate` is unknown there";
                self.finish(crate::End::closed(1006, reason));
            }
            Err(error) if first => {
                // The server closes a connection whose first message isn't right. One that says so, and
                // doesn't, or says nothing, is left. An end is logged: of an error without the
                // application's own words.
                let reason = match &error {
                    RequestError::Refused(refusal) => {
                        format!("the server refused the token: {}", refusal.code())
                    }
                    _ => error.to_string(),
                };
                self.wait(crate::End::closed(1006, reason), None);
            }
            Err(RequestError::Refused(refusal)) if refusal.code() == "expired" => {
                self.stale = self.shown.take();
                self.renew_later(TokenReason::Expired, None);
            }
            Err(RequestError::Refused(refusal)) if refusal.is_temporary() => {
                self.renew_later(TokenReason::Expiring, refusal.retry_after());
            }
            // The server closes it where it has to.
            Err(RequestError::Refused(_)) => {}
            Err(_) => self.renew_later(TokenReason::Expiring, None),
        }
    }
}
