//! How a session's client shows anew who it is.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use realtime_core::{BoxError, auth::Token};

use super::Session;

/// Who finds out whose a token is, and what follows from it: above sessions, since the whole node
/// takes part.
pub(crate) trait Gatekeeper: Send + Sync {
    /// Returns for how long what was shown holds, where it ends. A session whose client has shown
    /// something that isn't right is closing then.
    fn show(
        self: Arc<Self>,
        session: Session,
        token: Token,
    ) -> BoxFuture<'static, Result<Option<Duration>, BoxError>>;

    /// Asks the rules of its rooms once more: it may have come into one by what it was before.
    fn ask_anew(self: Arc<Self>, session: Session) -> BoxFuture<'static, ()>;
}
