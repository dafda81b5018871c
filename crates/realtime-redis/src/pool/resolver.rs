//! Which address a server's name stands for, where it stands for several: one that answers.
//!
//! The client tries one after the other, within the time of one attempt, and each attempt begins with
//! the first again. So one that swallows what is sent to it, such as `::1` behind a filter, would keep
//! the others from their turn for ever. So would one that accepts and says nothing, such as a server
//! that was stopped: it isn't enough that a connection can be made.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use fred::types::config::{Server, ServerConfig};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::{Deployment, first};

/// How long the addresses of a name may take to be found, and how long each of them to answer.
const LIMIT: Duration = Duration::from_secs(1);
/// How long it may take for the others of several servers, once there is one.
const SEVERAL: Duration = Duration::from_millis(1_250);
/// How many addresses of a name are tried: all of them have had their time within 5 s.
const ADDRESSES: usize = 16;
/// What every server answers with something, and be it that credentials are missing.
const QUESTION: &[u8] = b"*1\r\n$4\r\nPING\r\n";

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
    /// stays, and the client says what is wrong with it. So does that of one of several servers that
    /// takes longer than the others may wait for it once there is an address of one of them.
    pub(crate) async fn resolve(&self, servers: &mut ServerConfig, deployment: &Deployment) {
        match servers {
            ServerConfig::Centralized { server } => {
                let _found = self.resolve_one(server, deployment).await;
            }
            ServerConfig::Clustered { hosts, .. } | ServerConfig::Sentinel { hosts, .. } => {
                // Each that is found is put in its place at once.
                let each = hosts.iter_mut();
                let all = each.map(|server| self.resolve_one(server, deployment));
                let mut all: FuturesUnordered<_> = all.collect();
                // While there is none, nobody is held up by those that take long.
                while let Some(false) = all.next().await {}
                let others = async { while all.next().await.is_some() {} };
                let _in_time = timeout(SEVERAL, others).await;
            }
        }
    }

    /// Returns whether there is an address now.
    async fn resolve_one(&self, server: &mut Server, deployment: &Deployment) -> bool {
        if server.host.parse::<IpAddr>().is_ok() {
            return true;
        }
        let answering = self.answering(server, deployment).await;
        // An address with a zone is more than a host and a port can say.
        let is_whole =
            |address: &SocketAddr| !matches!(address, SocketAddr::V6(a) if a.scope_id() != 0);
        let Some(address) = answering.filter(is_whole) else {
            return false;
        };
        #[cfg(feature = "rustls")]
        if server.tls_server_name.is_none() {
            // The certificate has the name.
            server.tls_server_name = Some(server.host.clone());
        }
        server.host = address.ip().to_string().into();
        server.port = address.port();
        true
    }

    /// The address that answers first. One alone is not asked.
    async fn answering(&self, server: &Server, deployment: &Deployment) -> Option<SocketAddr> {
        let lookup = (self.0)(server.host.to_string(), server.port);
        let found = timeout(LIMIT, lookup).await.ok()?.ok()?;
        if let [only] = *found {
            return Some(only);
        }
        let mut asked: Vec<BoxFuture<'_, io::Result<SocketAddr>>> = Vec::new();
        for address in found.into_iter().take(ADDRESSES) {
            let answer = async move {
                timeout(LIMIT, ask(address, server, deployment)).await??;
                Ok::<_, io::Error>(address)
            };
            asked.push(answer.boxed());
        }
        first(asked).await?.ok()
    }
}

/// Waits until the server at an address answers, whatever it says: that is the client's to read. No
/// credentials are shown.
#[cfg(feature = "rustls")]
async fn ask(address: SocketAddr, server: &Server, deployment: &Deployment) -> io::Result<()> {
    use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

    let socket = TcpStream::connect(address).await?;
    let Some(tls) = &deployment.tls else {
        return ping(socket).await;
    };
    let name = server.tls_server_name.as_ref().unwrap_or(&server.host);
    let name = ServerName::try_from(name.to_string()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    ping(connector.connect(name, socket).await?).await
}

#[cfg(not(feature = "rustls"))]
async fn ask(address: SocketAddr, _: &Server, _: &Deployment) -> io::Result<()> {
    ping(TcpStream::connect(address).await?).await
}

async fn ping(mut connection: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    connection.write_all(QUESTION).await?;
    connection.flush().await?;
    let _first = connection.read_u8().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use fred::{
        clients::Client, error::Error, interfaces::ClientLike,
        types::config::ClusterDiscoveryPolicy,
    };
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

    fn config() -> PoolConfig {
        PoolConfig::builder("redis://two.example").build().unwrap()
    }

    /// The last of these addresses is used.
    async fn reaches_the_last(addresses: &[SocketAddr]) {
        let mut config = config();
        config.resolver = knows(addresses);
        let pool = Pool::new(config, Ping, |_| {});
        until("the other one is used", async || {
            let count = Command::plain("ZCARD", "nobody");
            pool.run(&(), count).await.is_ok()
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn addresses_that_are_dead_keep_no_other_from_its_turn() {
        let (redis, (dead, _listener, _queue)) = (Redis::start().await.unwrap(), silent().await);
        let alive = SocketAddr::from(([127, 0, 0, 1], redis.port()));
        reaches_the_last(&[dead, alive]).await;
        // More than a second has room for.
        reaches_the_last(&[dead, dead, dead, dead, dead, dead, alive]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_address_that_accepts_and_says_nothing_keeps_no_other_from_its_turn() {
        let redis = Redis::start().await.unwrap();
        // The system accepts for it.
        let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = SocketAddr::from(([127, 0, 0, 1], redis.port()));
        reaches_the_last(&[mute.local_addr().unwrap(), alive]).await;
    }

    #[tokio::test]
    async fn a_name_stays_where_nothing_answers_and_an_address_is_no_name() {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let resolved = async |host: &str, resolver: Resolver| {
            let server = Server::new(host, 6379);
            let mut servers = ServerConfig::Centralized { server };
            let deployment = &config().deployment;
            resolver.resolve(&mut servers, deployment).await;
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

    #[tokio::test(start_paused = true)]
    async fn of_several_servers_one_that_takes_long_holds_up_no_other() {
        // The system accepts for it.
        let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let slow = vec![mute.local_addr().unwrap(); ADDRESSES];
        let quick = vec![SocketAddr::from(([127, 0, 0, 1], 1))];
        let resolver = Resolver::new(move |host, _| {
            let found = if host == "slow.example" {
                &slow
            } else {
                &quick
            };
            ready(Ok(found.clone())).boxed()
        });
        let hosts = ["slow.example", "quick.example"].map(|host| Server::new(host, 6379));
        let mut servers = ServerConfig::Clustered {
            hosts: hosts.into(),
            policy: ClusterDiscoveryPolicy::ConfigEndpoint,
        };
        let deployment = &config().deployment;
        let begun = Instant::now();
        resolver.resolve(&mut servers, deployment).await;
        assert!(begun.elapsed() < 2 * LIMIT, "{:?}", begun.elapsed());
        let found: Vec<_> = servers.hosts().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["slow.example:6379", "127.0.0.1:1"]);
    }

    #[tokio::test]
    async fn of_one_server_alone_each_address_has_its_turn() {
        // The system accepts for it.
        let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = server.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            stream.write_all(b"+PONG\r\n").await.unwrap();
            // Until the other end has read it.
            let _end = stream.read_to_end(&mut Vec::new()).await;
        });
        // More than there is time for where others wait.
        let mut addresses = vec![mute.local_addr().unwrap(); 10];
        addresses.push(alive);
        let mut servers = ServerConfig::Clustered {
            hosts: vec![Server::new("only.example", 6379)],
            policy: ClusterDiscoveryPolicy::ConfigEndpoint,
        };
        let deployment = &config().deployment;
        let resolver = knows(&addresses);
        resolver.resolve(&mut servers, deployment).await;
        assert_eq!(servers.hosts()[0].to_string(), alive.to_string());
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
            let deployment = &config().deployment;
            assert!(knows(&[only]).resolve_one(&mut server, deployment).await);
            assert_eq!(server.tls_server_name.as_deref(), Some(expected));
        }
    }
}
