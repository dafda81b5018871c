//! Who a client is: shown before its session begins or anew, changed, or no longer believed.

mod change;
mod refused;
pub(crate) mod revocation;
mod rules;
mod show;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::{FutureExt, future::BoxFuture};
use realtime_core::{BoxError, Identity, auth::Token};

use crate::{Session, admission::Unauthenticated, node::Node, session::Gatekeeper};

pub(crate) use change::update;
pub(crate) use refused::{has_failed, refused};

/// Whose this token is, as far as it is still believed.
pub(crate) async fn of_token(node: &Node, token: Token) -> Result<Identity, Unauthenticated> {
    let identity = node.authentication.of_token(token).await?;
    revocation::check(node, identity).await
}

/// For how long what was shown holds, where it ends.
pub(crate) fn holds(identity: &Identity) -> Option<Duration> {
    let at = identity.expires_at()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

impl Gatekeeper for Node {
    fn show(
        self: Arc<Self>,
        session: Session,
        token: Token,
    ) -> BoxFuture<'static, Result<Option<Duration>, BoxError>> {
        async move { show::show(&self, &session, token).await }.boxed()
    }

    fn ask_anew(self: Arc<Self>, session: Session) -> BoxFuture<'static, ()> {
        async move { rules::ask_anew(&self, &session).await }.boxed()
    }
}
