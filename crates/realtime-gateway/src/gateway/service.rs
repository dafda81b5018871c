//! The gateway as a tower service: from a request to a session or a refusal.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response, request::Parts};
use hyper::upgrade::OnUpgrade;
use realtime_core::Identity;
use tokio::time::sleep;
use tower_service::Service;

use super::Gateway;
use crate::{
    Body, ErrorStage, Upgrade,
    admission::{Admitted, Refusal, Unauthenticated, check},
    escape::Chain,
    guarded::{Whose, panicked},
    identities::revocation,
    patience::patient,
    quiet::drop_quietly,
    session_task,
};

/// How long the connection may take to become a WebSocket after the 101.
const UPGRADE: Duration = Duration::from_secs(10);
/// The same from the moment when the gateway shuts down. A client that was told 101 is owed the
/// close frame.
const LATE_UPGRADE: Duration = Duration::from_secs(1);

impl<B> Service<Request<B>> for Gateway {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (gateway, parts) = (self.clone(), request.into_parts().0);
        Box::pin(async move { Ok(gateway.answer(parts).await) })
    }
}

impl Gateway {
    /// Accepts an upgrade for an identity that the host has authenticated itself.
    ///
    /// Every other check is made: a cookie login must not let another site's page connect as its
    /// visitor. The response is 101, or the refusal.
    ///
    /// ```
    /// use axum::{extract::State, response::IntoResponse, routing::any};
    /// use realtime::{Gateway, Identity, Upgrade};
    ///
    /// /// The host's own login, such as a session cookie, has put the user into the request.
    /// #[derive(Clone)]
    /// struct User {
    ///     id: String,
    /// }
    ///
    /// async fn ws(
    ///     State(gateway): State<Gateway>,
    ///     axum::Extension(user): axum::Extension<User>,
    ///     upgrade: Upgrade,
    /// ) -> impl IntoResponse {
    ///     gateway.accept(upgrade, Identity::new(user.id))
    /// }
    ///
    /// let gateway = realtime::builder().build()?;
    /// let app = axum::Router::new().route("/ws", any(ws)).with_state(gateway.clone());
    /// # use realtime_testkit::memory::Connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn check(app: axum::Router, _gateway: Gateway) -> Result<(), Box<dyn std::error::Error>> {
    /// # let login = axum::Extension(User { id: "ann".to_owned() });
    /// # Connect::new().to_app(app.layer(login), realtime::codec::JsonCodec).await?.ping().await?;
    /// # Ok(())
    /// # }
    /// # check(app, gateway).unwrap();
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    #[must_use = "the response must be returned to the client"]
    pub fn accept(&self, upgrade: Upgrade, identity: Identity) -> Response<Body> {
        let Upgrade(parts) = upgrade;
        self.respond(self.admit_now(&parts).and_then(|mut admitted| {
            let identity = check(identity).map_err(|error| self.unauthenticated(error))?;
            self.count_here(&mut admitted, &identity)?;
            self.open(parts, admitted, identity)
        }))
    }

    async fn answer(&self, parts: Parts) -> Response<Body> {
        let admitted = async {
            let mut admitted = self.admit(&parts).await?;
            let identity = match self.node().authentication.of_request(&parts).await {
                Ok(identity) => revocation::check(self.node(), identity).await,
                Err(error) => Err(error),
            };
            let identity = identity.map_err(|error| {
                self.has_failed(&parts, error.refusal);
                self.unauthenticated(error)
            })?;
            self.count(&mut admitted, &identity).await?;
            Ok((admitted, identity))
        };
        let admitted = admitted.await;
        self.respond(admitted.and_then(|(admitted, identity)| self.open(parts, admitted, identity)))
    }

    fn respond(&self, outcome: Result<Response<Body>, Refusal>) -> Response<Body> {
        outcome.unwrap_or_else(|refusal| {
            let stats = self.node().stats();
            stats.refused.add(1);
            match refusal {
                Refusal::Origin => stats.refused_origins.add(1),
                Refusal::AddressFull | Refusal::IdentityFull => stats.connections_limited.add(1),
                Refusal::TooManyFailures(_) => stats.authentications_limited.add(1),
                Refusal::TooManyUpgrades => stats.upgrades_limited.add(1),
                _ => {}
            }
            tracing::debug!(target: crate::log_targets::ADMISSION, ?refusal, "refused");
            refusal.response()
        })
    }

    /// Everything after it: 101, and a task that becomes the session.
    fn open(
        &self,
        mut request: Parts,
        admitted: Admitted,
        identity: Identity,
    ) -> Result<Response<Body>, Refusal> {
        let node = self.node();
        // It may have begun to shut down while the authenticator was asked.
        if node.is_draining() {
            return Err(Refusal::Draining);
        }
        let Admitted {
            handshake,
            mut slot,
            held,
        } = admitted;
        let held = held.boxed();
        let upgrade = request
            .extensions
            .remove::<OnUpgrade>()
            .ok_or(Refusal::NotUpgradable)?;
        let response = handshake.response().ok_or(Refusal::NotUpgradable)?;
        let remote_addr = self.admission().client_address(&request);
        slot.open();
        self.background().remember_runtime();
        self.background().ensure();
        let node = Arc::clone(node);
        let tasks = node.tasks.clone();
        tasks.spawn(|mark| async move {
            let _until_its_end = mark;
            let shut_down = async {
                node.drain.cancelled().await;
                sleep(LATE_UPGRADE).await;
            };
            let upgraded = tokio::select! {
                biased;
                upgraded = patient(UPGRADE, upgrade) => upgraded,
                () = node.abort.cancelled() => return,
                () = shut_down => return,
            };
            match upgraded {
                Some(Ok(stream)) => {
                    let spawn = || session_task::spawn(&node, (slot, held), stream, identity, remote_addr);
                    // A layer makes its service for each session, and may panic.
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(spawn)) {
                        node.stats().upgrades_failed.add(1);
                        node.report(ErrorStage::Message, panicked(Whose::Layer, panic), None);
                    }
                }
                Some(Err(error)) => {
                    node.stats().upgrades_failed.add(1);
                    tracing::debug!(target: crate::log_targets::ADMISSION, %error, "the upgrade failed");
                }
                None => {
                    node.stats().upgrades_failed.add(1);
                    tracing::debug!(
                        target: crate::log_targets::ADMISSION, "the upgrade did not follow the 101",
                    );
                }
            }
        });
        Ok(response)
    }

    /// Reports a request that was refused because of who sent it.
    fn unauthenticated(&self, unauthenticated: Unauthenticated) -> Refusal {
        let Unauthenticated { refusal, error } = unauthenticated;
        let node = self.node();
        let is_theirs = matches!(
            refusal,
            Refusal::Expired | Refusal::Revoked | Refusal::Unauthorized
        );
        if is_theirs && !node.reports.has_hooks() {
            // Anybody can cause it, and as often as they like.
            tracing::debug!(target: crate::log_targets::ADMISSION, error = %Chain(&*error), "unauthorized");
            drop_quietly(error);
        } else {
            node.report(ErrorStage::Authentication, error, None);
        }
        refusal
    }
}
