//! Accepting: from the listener to a task for each connection.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use realtime_core::BoxError;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::{
    Secure,
    connection::{Around, Stop, connection},
    panics::Panics,
    place::Place,
    trouble::Trouble,
};
use crate::{Gateway, escape::Chain, quiet::drop_quietly};

/// How many plain HTTP connections there may be at once. Sessions are counted by the gateway.
const CONNECTIONS: usize = 16 * 1024;
/// How many connections are accepted until other tasks have a turn.
const TURN: usize = 64;
/// How long to wait where the system is short of something, such as descriptors.
const SHORTAGE: Duration = Duration::from_millis(50);

/// What accepts.
pub(super) struct Acceptor<A> {
    listener: TcpListener,
    app: A,
    secure: Option<Secure>,
    /// Has the counters.
    gateway: Gateway,
    /// Those that limit how many may come.
    limiting: Vec<Gateway>,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: Stop,
    trouble: Trouble,
    panics: Panics,
    #[cfg(feature = "http2")]
    pub(super) http2: bool,
}

impl<A, B> Acceptor<A>
where
    A: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    A: Clone + Send + 'static,
    A::Future: Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    pub(super) fn new(
        listener: TcpListener,
        app: A,
        secure: Option<Secure>,
        gateways: &[Gateway],
        gateway: Gateway,
    ) -> Self {
        let limits = |gateway: &&Gateway| gateway.node().limits.upgrades.is_some();
        let limiting: Vec<Gateway> = gateways.iter().filter(limits).cloned().collect();
        for gateway in &limiting {
            if let Some(upgrades) = &gateway.node().limits.upgrades {
                upgrades.are_accepted_in_calm();
            }
        }
        Self {
            listener,
            app,
            secure,
            panics: Panics::new(gateway.clone()),
            gateway,
            limiting,
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            tasks: TaskTracker::new(),
            stop: Stop::default(),
            trouble: Trouble::default(),
            #[cfg(feature = "http2")]
            http2: false,
        }
    }

    /// Accepts until the listener fails for good, and returns why.
    pub(super) async fn run(&mut self) -> io::Error {
        loop {
            // As long as connections wait, `accept` returns at once.
            for _ in 0..TURN {
                // While there is no place, or others wait to be let in, new connections wait in the
                // listener's backlog.
                let accepted = async {
                    let place = Place::of(&self.places).await;
                    for gateway in &self.limiting {
                        if let Some(upgrades) = &gateway.node().limits.upgrades {
                            upgrades.calm().await;
                        }
                    }
                    (place, self.listener.accept().await)
                };
                let (place, accepted) = tokio::select! {
                    biased;
                    accepted = accepted => accepted,
                    () = self.trouble.over() => continue,
                };
                match accepted {
                    Ok((tcp, peer)) => match catch_unwind(AssertUnwindSafe(|| self.app.clone())) {
                        Ok(app) => {
                            let secure = self.secure.clone();
                            let around = Around {
                                stop: self.stop.clone(),
                                place,
                                #[cfg(feature = "http2")]
                                panics: self.panics.clone(),
                                #[cfg(feature = "http2")]
                                http2: self.http2,
                                #[cfg(feature = "http2")]
                                draining: self.gateway.node().draining.clone(),
                            };
                            self.spawn(connection(secure, tcp, peer, app, around));
                            if !self.limiting.is_empty() {
                                // Whether it has to wait shows before the next one is accepted.
                                tokio::task::yield_now().await;
                            }
                        }
                        Err(panic) => self.panics.panicked(panic),
                    },
                    Err(error) => match kind(&error) {
                        Kind::Connection => self.failed(&error),
                        Kind::Shortage => {
                            self.trouble.failed(&error);
                            // Let some be closed first.
                            tokio::time::sleep(SHORTAGE).await;
                        }
                        Kind::Listener => return error,
                    },
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Closes the listener, and lets requests that are under way finish, for so long. Returns how
    /// many connections were cut off then.
    pub(super) async fn stop(self, limit: Duration) -> usize {
        drop(self.listener);
        self.stop.soon.cancel();
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_ok() {
            return 0;
        }
        // Their tasks end as soon as they are polled.
        let left = self.tasks.len();
        self.stop.now.cancel();
        left
    }

    /// A task of its own, so that nothing that happens to a connection reaches the others.
    fn spawn(&self, connection: impl Future<Output = io::Result<()>> + Send + 'static) {
        let (gateway, panics) = (self.gateway.clone(), self.panics.clone());
        self.tasks.spawn(async move {
            match AssertUnwindSafe(connection).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    failed(&gateway, &error);
                    // The acceptor's, or the app's.
                    drop_quietly(error);
                }
                Err(panic) => panics.panicked(panic),
            }
        });
    }

    fn failed(&self, error: &io::Error) {
        failed(&self.gateway, error);
    }
}

fn failed(gateway: &Gateway, error: &io::Error) {
    gateway.node().stats().connections_failed.add(1);
    let error = Chain(error);
    tracing::debug!(target: crate::log_targets::SERVE, %error, "a connection failed");
}

/// What an error of `accept` is about.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// The connection that was about to be accepted: the next one may be all right.
    Connection,
    /// The listener itself.
    Listener,
    /// Something of which the system or the process has no more for now.
    Shortage,
}

fn kind(error: &io::Error) -> Kind {
    use io::ErrorKind as E;
    match error.kind() {
        E::ConnectionAborted | E::ConnectionRefused | E::ConnectionReset | E::Interrupted => {
            Kind::Connection
        }
        E::InvalidInput | E::NotFound => Kind::Listener,
        _ => Kind::Shortage,
    }
}
