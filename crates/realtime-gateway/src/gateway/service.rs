//! The gateway as a tower service: from a request to a session or a refusal.

use std::{
    convert::Infallible,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response, request::Parts};
use realtime_core::{Identity, patient};
use tokio::{runtime::Handle, time::sleep};
use tower_service::Service;

use super::{Gateway, entry, speaking::Only};
use crate::{
    Body, ErrorStage, Upgrade,
    admission::{Admitted, Handshake, Refusal, check},
    dialects::DialectId,
    doorstep::{self, Arrived},
    guarded::{Whose, panicked},
    identities::{self, revocation},
    limits::Held,
    node::Node,
    session_task::{self, Newcomer},
    traces::Traced,
    transport::Upgrading,
};

/// How long the connection may take to become a WebSocket after the 101.
const UPGRADE: Duration = Duration::from_secs(10);
/// The same from the moment when the gateway shuts down. A client that was told 101 is owed the
/// close frame.
const LATE_UPGRADE: Duration = Duration::from_secs(1);

/// What is known of a client when its connection is upgraded.
enum Known {
    Who(Identity),
    /// What the host says. It couldn't wait for an answer to whether that is still believed.
    Told(Identity),
    /// Nothing: it has so long to say it.
    Within(Duration),
}

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
    /// visitor. The response is 101, or the refusal; but whether what the host believes was
    /// [revoked](Self::revoke) is found out after it, and told by a close frame with 3500, or with
    /// 1013 where the store is away.
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
        let Upgrade(mut parts) = upgrade;
        let traced = self.trace(&parts);
        let opened = traced.within(|| {
            let mut admitted = self.admit_now(&parts)?;
            let identity =
                check(identity).map_err(|error| identities::refused(self.node(), error))?;
            entry::count_here(self.node(), &mut admitted.held, &identity)?;
            self.open(&mut parts, admitted, Known::Told(identity), &traced)
        });
        self.respond(&mut parts, opened, &traced)
    }

    async fn answer(&self, mut parts: Parts) -> Response<Body> {
        let traced = self.trace(&parts);
        let opened = async {
            let mut admitted = self.admit(&parts).await?;
            let known = self.who(&parts).await?;
            if let Known::Who(identity) = &known {
                entry::count(self.node(), &mut admitted.held, identity).await?;
            }
            self.open(&mut parts, admitted, known, &traced)
        };
        let opened = traced.around(opened).await;
        self.respond(&mut parts, opened, &traced)
    }

    fn trace(&self, request: &Parts) -> Traced {
        let client = || self.admission().client_address(request);
        self.node().tracer().upgrade(request, client)
    }

    /// Who has sent a request, or that this is to be shown in the first message.
    async fn who(&self, request: &Parts) -> Result<Known, Refusal> {
        let node = self.node();
        if let Some(limit) = node.config.token_in_message
            && node.authentication.finds_nothing_in(request)
        {
            return Ok(Known::Within(limit));
        }
        let asked = identities::of_request(node, request);
        let asked = entry::authenticated(node, self.address(request), asked);
        asked.await.map(Known::Who)
    }

    fn respond(
        &self,
        request: &mut Parts,
        outcome: Result<Response<Body>, Refusal>,
        traced: &Traced,
    ) -> Response<Body> {
        let response = outcome.unwrap_or_else(|refusal| {
            traced.refused(refusal.name());
            let stats = self.node().stats();
            stats.refused.add(1);
            self.node().metrics().refused(refusal.name());
            if let Some(counter) = refusal.counter(stats) {
                counter.add(1);
            }
            tracing::debug!(target: crate::log_targets::ADMISSION, ?refusal, "refused");
            let closed = self.refuse_by_close(request, refusal);
            closed.unwrap_or_else(|| refusal.response(request.version, self.node().notice_left()))
        });
        traced.responded(response.status());
        response
    }

    /// 101, and a close frame that says why and whether to come back, where that is wished and
    /// possible.
    fn refuse_by_close(&self, request: &mut Parts, refusal: Refusal) -> Option<Response<Body>> {
        let node = self.node();
        let farewell = doorstep::Farewell::of(refusal, node);
        let farewell = farewell.filter(|_| node.config.accept_then_close)?;
        let runtime = Handle::try_current().ok()?;
        let named = |name: &[u8]| self.named(request, name);
        let (handshake, place) = self.admission().refuse_later(request, named)?;
        // Not among the sessions' tasks: a shutdown waits for those, and refuses meanwhile.
        let counted = node.background.token();
        if node.is_cut_off() {
            return None;
        }
        let upgrade = Upgrading::of(request)?;
        let dialect = spoken(request, &handshake);
        let response = handshake.response()?;
        node.stats().refused_by_close.add(1);
        let refused = doorstep::refuse(Arc::clone(node), upgrade, dialect, farewell);
        runtime.spawn(async move {
            let _until_its_end = (counted, place);
            refused.await;
        });
        Some(response)
    }

    /// Everything after it: 101, and a task that becomes the session.
    fn open(
        &self,
        request: &mut Parts,
        admitted: Admitted,
        known: Known,
        traced: &Traced,
    ) -> Result<Response<Body>, Refusal> {
        let node = self.node();
        // It may have begun to shut down while the authenticator was asked.
        if node.is_draining() {
            return Err(Refusal::Draining);
        }
        let Admitted {
            handshake,
            mut slot,
            mut held,
        } = admitted;
        if matches!(known, Known::Within(_)) {
            // Before the upgrade is taken: it may be refused behind one.
            if !slot.wait_at_the_door() {
                return Err(Refusal::Full);
            }
        } else {
            slot.open();
        }
        let upgrade = Upgrading::of(request).ok_or(Refusal::NotUpgradable)?;
        let agreed = handshake.agreed;
        let dialect = spoken(request, &handshake).compressed(agreed);
        let response = handshake.response().ok_or(Refusal::NotUpgradable)?;
        let remote_addr = self.admission().client_address(request);
        let address = self.address(request);
        self.background().remember_runtime();
        self.background().ensure();
        let node = Arc::clone(node);
        let origin = traced.origin();
        let tasks = node.tasks.clone();
        tasks.spawn(|mut mark| async move {
            let shut_down = async {
                node.ending.cancelled().await;
                sleep(LATE_UPGRADE).await;
            };
            let upgraded = tokio::select! {
                biased;
                upgraded = patient(UPGRADE, upgrade.upgraded()) => upgraded,
                () = node.abort.cancelled() => return,
                () = shut_down => return,
            };
            match upgraded {
                Some(Ok(connection)) => {
                    let arrived = Arrived {
                        connection,
                        dialect,
                        agreed,
                    };
                    let who = becomes(&node, arrived, known, (&mut held, address));
                    let Some(newcomer) = mark.around(Box::pin(who)).await else {
                        return;
                    };
                    slot.open();
                    let newcomer = newcomer.asked_by(origin);
                    let place = (slot, held.boxed());
                    let spoken = (dialect, agreed);
                    let spawn =
                        || session_task::spawn(&node, place, newcomer, spoken, remote_addr);
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
}

/// What a client speaks: what it has chosen, or where it has connected, or the codec.
fn spoken(request: &Parts, handshake: &Handshake) -> DialectId {
    let only = request.extensions.get::<Only>();
    let only = only.map(|Only(dialect)| *dialect);
    handshake.dialect.or(only).unwrap_or_default()
}

/// Who a connection belongs to; `None` where it is closed instead.
async fn becomes(
    node: &Node,
    arrived: Arrived,
    known: Known,
    (held, address): (&mut Held, Option<IpAddr>),
) -> Option<Newcomer> {
    match known {
        Known::Who(identity) => Some(Newcomer::new(arrived.connection, identity)),
        Known::Told(identity) => {
            let checked = revocation::check(node, identity);
            let checked = node.abort.run_until_cancelled(checked).await?;
            match checked.map_err(|error| identities::refused(node, error)) {
                Ok(identity) => Some(Newcomer::new(arrived.connection, identity)),
                Err(refusal) => {
                    doorstep::turn_away(node, arrived, refusal).await;
                    None
                }
            }
        }
        Known::Within(limit) => {
            doorstep::enter(node, arrived, limit, move |token| {
                entry::shown_first(node, held, address, token)
            })
            .await
        }
    }
}
