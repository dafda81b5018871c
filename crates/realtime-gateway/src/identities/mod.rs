//! Who a session belongs to, after it began: shown anew, changed, or no longer believed.

mod change;
pub(crate) mod revocation;
mod rules;
mod show;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use realtime_core::{BoxError, auth::Token};

use crate::{Session, node::Node, session::Gatekeeper};

pub(crate) use change::update;

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
