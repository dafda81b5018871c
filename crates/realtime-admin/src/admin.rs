//! The service: who may see it, and what is on which path.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use realtime_core::{Identity, NodeId, auth::Authenticator};
use realtime_gateway::{Body, BuildError, Gateway, Upgrade};
use tower_service::Service;

use crate::{
    api,
    guard::{Guard, Refused},
    page::{self, Page},
    socket::{Host, Pages, Socket},
};

/// A tower service with a page for operators of a gateway, for a path such as `/admin`: mount it with
/// axum's `nest_service`, or say by [`Unguarded::path`] where it is and pass it all requests to that and
/// below it. The page is there with a slash at the end and without; any other path than those that the
/// [crate] names is answered with 404.
///
/// It has a small gateway of its own inside, for 32 pages at once and 4 of each operator; with a fifth,
/// the oldest ends. While one of them looks, the node
/// is looked at once a second, whatever it holds; while nobody does, nothing runs. When the gateway shuts
/// down, so does that.
///
/// What somebody does is logged with the target
/// [`realtime::admin`](realtime_core::log_targets::ADMIN), and by whom: tenant and id of the guard's
/// identity.
#[derive(Clone)]
#[must_use = "a service does nothing until it is on a path"]
pub struct Admin(Arc<Inner>);

struct Inner {
    gateway: Gateway,
    /// What the paths of requests begin with, without a slash at its end.
    path: String,
    guard: Guard,
    page: Page,
    socket: Arc<Socket>,
}

/// A page that nobody guards, and that is no service for as long as that is so.
#[derive(Debug)]
#[must_use = "it is a service once it has a guard"]
pub struct Unguarded {
    gateway: Gateway,
    path: String,
    taps: bool,
    pages: Pages,
    origins: Vec<String>,
}

impl Admin {
    /// That of one gateway, which needs a [guard](Unguarded::guard).
    pub fn of(gateway: &Gateway) -> Unguarded {
        Unguarded {
            gateway: gateway.clone(),
            path: String::new(),
            taps: true,
            pages: Pages::default(),
            origins: Vec::new(),
        }
    }
}

impl Unguarded {
    /// The path on which it is, where the host passes on whole paths, as plain hyper does: `/admin`, say.
    /// axum's `nest_service` takes that away, so there is nothing to be said there, and nothing is wrong
    /// where it is. Slashes before and behind it are added or left out as need be.
    ///
    /// ```
    /// # use realtime::admin::Admin;
    /// # let gateway = realtime::builder().build()?;
    /// let page = Admin::of(&gateway).path("/admin");
    /// # let _ = page;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn path(mut self, path: impl Into<String>) -> Self {
        let path = path.into();
        self.path = match path.trim_matches('/') {
            "" => String::new(),
            path => format!("/{path}"),
        };
        self
    }

    /// Nobody may look at messages: operators see who is there, and not what they say.
    pub fn without_taps(mut self) -> Self {
        self.taps = false;
        self
    }

    /// Where the pages of other nodes are, for links to them: an operator watches messages on the node
    /// that has the session. A web address or a path; `None` where there is none.
    ///
    /// ```
    /// # use realtime::admin::Admin;
    /// # let gateway = realtime::builder().build()?;
    /// let page = Admin::of(&gateway)
    ///     .pages(|node| Some(format!("https://{node}.chat.internal/admin/")));
    /// # let _ = page;
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    pub fn pages(
        mut self,
        page_of: impl Fn(&NodeId) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.pages = Pages::new(page_of);
        self
    }

    /// Pages of these origins may connect, too, as with
    /// [`Builder::origin_patterns`](realtime_gateway::Builder::origin_patterns): where a proxy changes
    /// `Host`, so that the page's own origin isn't known here.
    pub fn origin_patterns<P: Into<String>>(
        mut self,
        patterns: impl IntoIterator<Item = P>,
    ) -> Self {
        self.origins = patterns.into_iter().map(Into::into).collect();
        self
    }

    /// Lets in those whom `authenticator` knows and who `may`; tenant and id of their identity are in the
    /// log beside what they do. Both are asked for the page, for each call of the API, for the socket,
    /// and for each token that is shown on it, and have 5 s. A page's connection ends after 15 minutes
    /// at the most, and comes back by itself: then they are asked anew. A browser shows no token with a page, so let it find a cookie, or what a proxy in front
    /// has added.
    ///
    /// Who shows nothing, or something wrong, gets 401; who is known and may not, 403; and 503 says that
    /// it could not be found out. An identity that [ends](Identity::expires_at) ends the page's
    /// connection, too; and so does the gateway where it [revokes](Gateway::revoke) what the operator
    /// has shown, who is then let in no more than its other users are.
    ///
    /// # Errors
    /// Those of [`Builder::build`](realtime_gateway::Builder::build): an authenticator that can never
    /// work, or an origin pattern that is none.
    pub fn guard(
        self,
        authenticator: impl Authenticator,
        may: impl Fn(&Identity) -> bool + Send + Sync + 'static,
    ) -> Result<Admin, BuildError> {
        let guard = Guard::new(self.gateway.clone(), authenticator, may);
        let host = Host {
            gateway: self.gateway.clone(),
            taps: self.taps,
            pages: self.pages,
        };
        let socket = Socket::new(host, guard.clone(), self.origins)?;
        Ok(Admin(Arc::new(Inner {
            gateway: self.gateway,
            path: self.path,
            guard,
            page: Page::new(),
            socket: Arc::new(socket),
        })))
    }
}

impl Inner {
    async fn answer(&self, upgrade: Upgrade) -> Response<Body> {
        let who = match self.guard.admits(upgrade.request()).await {
            Ok(who) => who,
            Err(refused) => return refusal(refused),
        };
        let request = upgrade.request();
        let whole = request.uri.path();
        let path = whole.strip_prefix(&*self.path).unwrap_or(whole);
        if path == "/ws" {
            self.socket.begin();
            return self.socket.gateway().accept(upgrade, who);
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            return page::not_allowed();
        }
        let query = request.uri.query().unwrap_or_default();
        match path {
            "" | "/" => self.page.page(),
            "/realtime-client.js" => self.page.client(),
            "/api/node" => page::json(&self.gateway.inspect()),
            "/api/sessions" => api::sessions(&self.gateway, query).await,
            "/api/rooms" => api::rooms(&self.gateway, query).await,
            _ => page::nothing_there(),
        }
    }
}

fn refusal(refused: Refused) -> Response<Body> {
    match refused {
        Refused::Unknown => page::unauthorized(),
        Refused::MayNot => page::plain(StatusCode::FORBIDDEN, "you may not see this page"),
        Refused::Unavailable => page::plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "it could not be found out who you are; try again",
        ),
        Refused::Broken => page::plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "it could not be found out who you are",
        ),
    }
}

impl<B> Service<Request<B>> for Admin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        let upgrade = Upgrade::from_request(request);
        Box::pin(async move { Ok(inner.answer(upgrade).await) })
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("gateway", &self.0.gateway)
            .finish_non_exhaustive()
    }
}
