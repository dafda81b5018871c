//! Which address a server's name stands for, where it stands for several: one that answers.
//!
//! The client tries one after the other, within the time of one attempt, and each attempt begins with
//! the first again. So one that swallows what is sent to it, such as `::1` behind a filter, would keep
//! the others from their turn for ever.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use fred::types::config::{Server, ServerConfig};
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::first;

/// How long it may take to find one.
const LIMIT: Duration = Duration::from_secs(1);
/// How many addresses of a name are tried.
const ADDRESSES: usize = 16;

type Lookup =
    dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static;

/// Finds addresses for names.
#[derive(Clone)]
pub(crate) struct Resolver(Arc<Lookup>);

impl Resolver {
    pub(crate) fn new(
        lookup: impl Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(lookup))
    }

    /// As the system knows them.
    pub(crate) fn of_the_system() -> Self {
        Self::new(|host, port| {
            async move { Ok(lookup_host((host, port)).await?.collect()) }.boxed()
        })
    }

    /// Puts an address that answers in the place of each server's name. Where none does the name
    /// stays, and the client says what is wrong with it.
    pub(crate) async fn resolve(&self, servers: &mut ServerConfig) {
        let servers = match servers {
            ServerConfig::Centralized { server } => std::slice::from_mut(server),
            ServerConfig::Clustered { hosts, .. } | ServerConfig::Sentinel { hosts, .. } => hosts,
        };
        join_all(servers.iter_mut().map(|server| self.resolve_one(server))).await;
    }

    async fn resolve_one(&self, server: &mut Server) {
        if server.host.parse::<IpAddr>().is_ok() {
            return;
        }
        let answering = timeout(LIMIT, self.answering(server)).await;
        // An address with a zone is more than a host and a port can say.
        let is_whole =
            |address: &SocketAddr| !matches!(address, SocketAddr::V6(a) if a.scope_id() != 0);
        if let Some(address) = answering.ok().flatten().filter(is_whole) {
            #[cfg(feature = "rustls")]
            if server.tls_server_name.is_none() {
                // The certificate has the name.
                server.tls_server_name = Some(server.host.clone());
            }
            server.host = address.ip().to_string().into();
            server.port = address.port();
        }
    }

    /// The address that answers first. One alone is not asked.
    async fn answering(&self, server: &Server) -> Option<SocketAddr> {
        let found = (self.0)(server.host.to_string(), server.port).await.ok()?;
        if let [only] = *found {
            return Some(only);
        }
        let dial = |address| async move { TcpStream::connect(address).await.map(|_| address) };
        let dialled = found.into_iter().take(ADDRESSES).map(dial);
        first(dialled.map(FutureExt::boxed).collect()).await?.ok()
    }
}

#[cfg(test)]
mod tests {
    use fred::{clients::Client, error::Error, interfaces::ClientLike};
    use futures::future::ready;
    use realtime_testkit::{servers::Redis, wait::until};
    use tokio::{
        net::{TcpListener, TcpSocket},
        time::Instant,
    };

    use super::*;
    use crate::pool::{Command, Pool, PoolConfig, Work};

    struct Ping;

    impl Work for Ping {
        fn run<'w>(
            &'w self,
            client: &'w Client,
            _tag: &'w str,
            _deadline: Instant,
        ) -> BoxFuture<'w, Result<(), Error>> {
            client.ping(None).boxed()
        }
    }

    fn knows(addresses: &[SocketAddr]) -> Resolver {
        let addresses = addresses.to_vec();
        Resolver::new(move |_, _| ready(Ok(addresses.clone())).boxed())
    }

    /// An address that answers nothing, not even that nobody is there: its queue is full.
    async fn silent() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let (address, mut queue) = (listener.local_addr().unwrap(), Vec::new());
        while let Ok(waits) = timeout(LIMIT, TcpStream::connect(address)).await {
            queue.push(waits.unwrap());
        }
        (address, listener, queue)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_address_that_is_dead_keeps_no_other_from_its_turn() {
        let (redis, (dead, _listener, _queue)) = (Redis::start().await.unwrap(), silent().await);
        let alive = SocketAddr::from(([127, 0, 0, 1], redis.port()));
        let mut config = PoolConfig::builder("redis://two.example").build().unwrap();
        config.resolver = knows(&[dead, alive]);
        let pool = Pool::new(config, Ping, |_| {});
        until("the other one is used", async || {
            let count = Command::plain("ZCARD", "nobody");
            pool.run(&(), count).await.is_ok()
        })
        .await;
    }

    #[tokio::test]
    async fn a_name_stays_where_nothing_answers_and_an_address_is_no_name() {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let resolved = async |host: &str, resolver: Resolver| {
            let server = Server::new(host, 6379);
            let mut servers = ServerConfig::Centralized { server };
            resolver.resolve(&mut servers).await;
            servers.hosts()[0].to_string()
        };
        let name = "h.example:6379";
        assert_eq!(resolved("h.example", knows(&[])).await, name);
        assert_eq!(resolved("h.example", knows(&[nobody, nobody])).await, name);
        assert_eq!(
            resolved("10.0.0.1", knows(&[nobody])).await,
            "10.0.0.1:6379"
        );
        // One alone is the client's to try.
        assert_eq!(resolved("h.example", knows(&[nobody])).await, "127.0.0.1:1");
    }

    #[cfg(feature = "rustls")]
    #[tokio::test]
    async fn the_certificate_still_has_the_name() {
        let only = SocketAddr::from(([127, 0, 0, 1], 1));
        for (given, expected) in [
            (None, "h.example"),
            (Some("other.example"), "other.example"),
        ] {
            let mut server = Server::new("h.example", 6379);
            server.tls_server_name = given.map(Into::into);
            knows(&[only]).resolve_one(&mut server).await;
            assert_eq!(server.tls_server_name.as_deref(), Some(expected));
        }
    }
}
