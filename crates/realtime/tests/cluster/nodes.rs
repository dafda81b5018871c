//! The nodes of a cluster.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use realtime::{
    Builder, Gateway, Identity, IdentityKey,
    auth::{AuthError, Authenticator},
    connect,
    hooks::ErrorContext,
};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::cluster::Cluster;

/// The name in the query is who it is.
pub(crate) struct ByName;

impl Authenticator for ByName {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        Ok(Identity::new(request.uri.query().unwrap_or_default()).with_tenant("t"))
    }
}

pub(crate) fn key(name: &str) -> IdentityKey {
    IdentityKey::new(name).with_tenant("t")
}

/// Whether what took so long is done within a second: the best of a few goes counts, each with
/// somebody of another name, for the machine may be busy.
pub(crate) async fn is_quick(
    first: Duration,
    mut again: impl AsyncFnMut(&'static str) -> Duration,
) {
    let mut took = vec![first];
    for name in ["lost", "lost-too", "lost-again", "lost-once-more"] {
        if took.iter().any(|took| *took < Duration::from_secs(1)) {
            return;
        }
        took.push(again(name).await);
    }
    panic!("expected less than a second; got {took:?}");
}

impl Cluster {
    pub(crate) async fn node(&self) -> Node {
        Node::start(&self.rabbitmq.url(), &self.redis.url(), |builder| builder).await
    }

    pub(crate) async fn node_with(&self, with: impl FnOnce(Builder) -> Builder) -> Node {
        Node::start(&self.rabbitmq.url(), &self.redis.url(), with).await
    }
}

/// A gateway under a server.
pub(crate) struct Node {
    pub(crate) gateway: Gateway,
    pub(crate) addr: SocketAddr,
    /// What its error hook was told.
    pub(crate) errors: Arc<Mutex<Vec<String>>>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Node {
    pub(crate) async fn start(
        broker: &str,
        presence: &str,
        with: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let errors = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&errors);
        let builder = realtime::builder()
            .authenticator(ByName)
            .broker(connect::broker(broker).unwrap())
            .presence(connect::presence(presence).unwrap())
            .on_error(move |context: ErrorContext| {
                let told = format!("{:?}: {}", context.stage(), context.error());
                heard.lock().unwrap().push(told);
                async {}
            });
        let gateway = with(builder).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = axum::Router::new().route_service("/ws", gateway.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        gateway.start().await.unwrap();
        let served =
            realtime::serve(listener, app, gateway.clone()).with_graceful_shutdown(stopped);
        let served = tokio::spawn(served.into_future());
        Self {
            gateway,
            addr,
            errors,
            stop,
            served,
        }
    }

    pub(crate) async fn connect(&self, name: &str) -> Client {
        Request::new(format!("/ws?{name}"))
            .connect(self.addr)
            .await
            .unwrap()
    }

    /// Connects, and waits until everybody can see it.
    pub(crate) async fn join(&self, name: &str) -> Client {
        let client = self.connect(name).await;
        until("it is online", async || {
            self.gateway.is_online(&key(name)).await.unwrap_or(false)
        })
        .await;
        client
    }

    pub(crate) fn has_reported(&self, words: &str) -> bool {
        self.errors
            .lock()
            .unwrap()
            .iter()
            .any(|error| error.contains(words))
    }

    pub(crate) async fn until_reported(&self, words: &str, limit: Duration) {
        let heard = tokio::time::timeout(limit, async {
            while !self.has_reported(words) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let errors = Arc::clone(&self.errors);
        assert!(heard.await.is_ok(), "{words:?} is not in {errors:?}");
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        realtime_testkit::wait::within("the end of a node", self.served)
            .await
            .unwrap()
            .unwrap();
    }
}
