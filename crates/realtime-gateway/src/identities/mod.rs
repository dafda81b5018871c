//! Who a session belongs to, after it began: shown anew, changed, or no longer believed.

mod change;
mod revoked;
mod show;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use realtime_core::{BoxError, auth::Token};

use crate::{Session, node::Node, session::Gatekeeper};

pub(crate) use change::change;
pub(crate) use revoked::{check, close, hear, remember};

impl Gatekeeper for Node {
    fn show(
        self: Arc<Self>,
        session: Session,
        token: Token,
    ) -> BoxFuture<'static, Result<Option<Duration>, BoxError>> {
        async move { show::show(&self, &session, token).await }.boxed()
    }
}
