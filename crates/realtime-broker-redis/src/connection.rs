//! One connection to a server of Redis: made, introduced, and asked.
//!
//! A client library's subscriber hands messages out through a channel that lags, which loses them
//! without a word. Here what isn't read stays in the socket, and Redis keeps what is behind it.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use bytes::BytesMut;
use futures::{FutureExt, StreamExt};
use realtime_core::broker::{BrokerError, BrokerErrorKind};
use realtime_redis::{Address, Deployment, Login, Speech, first, reply::Reply};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_util::codec::FramedRead;

use crate::{
    error::{failed, not_understood, refused, too_slow, unavailable},
    resp::{self, Frame, Frames},
};

/// How long a step may take: to connect, to speak TLS, to answer.
pub(crate) const STEP: Duration = Duration::from_secs(2);
/// How many addresses of a name are tried.
const ADDRESSES: usize = 16;
/// The largest answer of a server that is only asked something: all slots of a cluster.
pub(crate) const ANSWER: usize = 4 << 20;

/// How much is read at once.
const READ: usize = 64 * 1024;

/// A socket, with TLS or without.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A connection that can be used.
pub(crate) struct Connection {
    pub(crate) frames: FramedRead<ReadHalf<Box<dyn Socket>>, Frames>,
    pub(crate) writes: WriteHalf<Box<dyn Socket>>,
    /// What the server said of itself.
    hello: Reply,
    address: Address,
}

/// With whom to speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) address: Address,
    /// The name that the server says it has, where it is known by an address.
    pub(crate) name: Option<String>,
}

/// How a connection is made: to whom, and as whom.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) place: &'a Place,
    pub(crate) login: &'a Login,
    /// For lists.
    pub(crate) name: &'a str,
    /// The largest message that is read.
    pub(crate) limit: usize,
}

impl Connection {
    /// Connects, and says who this is.
    pub(crate) async fn open(opening: Opening<'_>) -> Result<Self, BrokerError> {
        let addresses = addresses(&opening.place.address).await?;
        Self::first_of(&addresses, opening).await
    }

    /// At the first of these addresses at which a server answers, be it with a refusal. One that
    /// accepts connections and says nothing on them keeps no other from its turn.
    async fn first_of(addresses: &[SocketAddr], opening: Opening<'_>) -> Result<Self, BrokerError> {
        let at = &opening.place.address;
        let is_connected = AtomicBool::new(false);
        let attempt = |address| {
            let is_connected = &is_connected;
            async move {
                let socket = dial(at, address).await?;
                is_connected.store(true, Relaxed);
                match Self::introduce(opening, socket).await {
                    Err(error) if says_nothing(&error) => Err(error),
                    answered => Ok(answered),
                }
            }
        };
        let attempts = addresses.iter().map(|address| attempt(*address).boxed());
        match first(attempts.collect()).await {
            Some(Ok(answered)) => answered,
            // Something is there, and what it speaks may be something else.
            Some(Err(error)) if is_connected.load(Relaxed) => {
                match Speech::of(at, opening.deployment.uses_tls()).await {
                    Some(speech) => Err(not_understood(speech, error)),
                    None => Err(error),
                }
            }
            Some(Err(error)) => Err(error),
            None => Err(unavailable(format!("connecting to {at}: no address"))),
        }
    }

    async fn introduce(opening: Opening<'_>, socket: TcpStream) -> Result<Self, BrokerError> {
        let Opening {
            deployment,
            place,
            login,
            name,
            limit,
        } = opening;
        let at = &place.address;
        let socket = secure(deployment, place, socket).await?;
        let (reads, writes) = tokio::io::split(socket);
        let mut connection = Self {
            frames: FramedRead::with_capacity(reads, Frames::of_at_most(limit), READ),
            writes,
            hello: Reply::Null,
            address: at.clone(),
        };
        let greeted = timeout(STEP, connection.greet(login, name)).await;
        greeted.unwrap_or_else(|_| Err(too_slow(&format!("connecting to {at}"), STEP)))?;
        Ok(connection)
    }

    /// Where it has led to.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// `standalone`, `cluster` or `sentinel`, where the server says so.
    pub(crate) fn mode(&self) -> Option<&str> {
        self.hello.named("mode")
    }

    /// Whether the server says that it is somebody's replica.
    pub(crate) fn is_replica(&self) -> bool {
        is_replica(&self.hello)
    }

    /// All at once, so that it takes one round trip.
    async fn greet(&mut self, login: &Login, name: &str) -> Result<(), BrokerError> {
        let mut out = BytesMut::new();
        if let Some(password) = &login.password {
            match &login.user {
                Some(user) => resp::put(&mut out, &[b"AUTH", user.as_bytes(), password.as_bytes()]),
                None => resp::put(&mut out, &[b"AUTH", password.as_bytes()]),
            }
        }
        resp::put(&mut out, &[b"HELLO"]);
        resp::put(&mut out, &[b"CLIENT", b"SETNAME", name.as_bytes()]);
        self.write(&out).await?;
        if login.password.is_some()
            && let Frame::Error(said) = self.read().await?
        {
            return Err(refused("the login", &said));
        }
        match self.read().await? {
            // Redis 5 doesn't know it, and some may not ask.
            Frame::Error(said)
                if said.contains("unknown command") || said.starts_with("NOPERM") => {}
            Frame::Error(said) => return Err(refused("the connection", &said)),
            hello => self.hello = reply(hello),
        }
        // Who may not give it a name goes on without.
        let _named = self.read().await?;
        Ok(())
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), BrokerError> {
        let written = self.writes.write_all(bytes).await;
        written.map_err(|e| failed("writing", e))?;
        self.writes.flush().await.map_err(|e| failed("writing", e))
    }

    pub(crate) async fn read(&mut self) -> Result<Frame, BrokerError> {
        match self.frames.next().await {
            Some(Ok(frame)) => Ok(frame),
            Some(Err(error)) => Err(failed("reading", error)),
            None => Err(ended()),
        }
    }

    /// One question, and its answer.
    pub(crate) async fn ask(&mut self, what: &str, words: &[&[u8]]) -> Result<Reply, BrokerError> {
        let mut out = BytesMut::new();
        resp::put(&mut out, words);
        let asked = timeout(STEP, async {
            self.write(&out).await?;
            self.read().await
        });
        match asked.await {
            Ok(Ok(Frame::Error(said))) => Err(refused(what, &said)),
            Ok(answer) => answer.map(reply),
            Err(_) => Err(too_slow(what, STEP)),
        }
    }
}

/// Whether an error is of the network or of TLS, and not about a certificate.
fn says_nothing(error: &BrokerError) -> bool {
    use std::error::Error;

    let is_of_the_network = error
        .source()
        .is_none_or(|source| source.is::<std::io::Error>());
    is_of_the_network && error.kind() == BrokerErrorKind::Unavailable
}

pub(crate) fn ended() -> BrokerError {
    unavailable("Redis has ended the connection")
}

/// Whether an answer to `HELLO` is that of somebody's replica.
pub(crate) fn is_replica(hello: &Reply) -> bool {
    matches!(hello.named("role"), Some("replica" | "slave"))
}

pub(crate) fn reply(frame: Frame) -> Reply {
    match frame {
        Frame::Array(items) => Reply::Array(items.into_iter().map(reply).collect()),
        Frame::Bulk(bytes) => Reply::Text(String::from_utf8_lossy(&bytes).into_owned()),
        Frame::Simple(text) => Reply::Text(text),
        Frame::Number(number) => Reply::Number(number),
        Frame::Error(_) | Frame::Null | Frame::TooLarge { .. } => Reply::Null,
    }
}

async fn addresses(at: &Address) -> Result<Vec<SocketAddr>, BrokerError> {
    let what = format!("looking {at} up");
    match timeout(STEP, lookup_host((at.host.as_str(), at.port))).await {
        Ok(Ok(addresses)) => Ok(addresses.take(ADDRESSES).collect()),
        Ok(Err(error)) => Err(failed(&what, error)),
        Err(_) => Err(too_slow(&what, STEP)),
    }
}

async fn dial(at: &Address, address: SocketAddr) -> Result<TcpStream, BrokerError> {
    let what = format!("connecting to {at}");
    let connected = timeout(STEP, TcpStream::connect(address)).await;
    let socket = connected.map_err(|_| too_slow(&what, STEP))?;
    let socket = socket.map_err(|e| failed(&what, e))?;
    socket.set_nodelay(true).map_err(|e| failed(&what, e))?;
    Ok(socket)
}

#[cfg(feature = "rustls")]
async fn secure(
    deployment: &Deployment,
    place: &Place,
    socket: TcpStream,
) -> Result<Box<dyn Socket>, BrokerError> {
    use std::sync::Arc;

    use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

    let Some(tls) = &deployment.tls else {
        return Ok(Box::new(socket));
    };
    let Place { address, name } = place;
    let name = tls.server_name.as_ref().or(name.as_ref());
    let name = name.unwrap_or(&address.host).clone();
    let name = ServerName::try_from(name).map_err(|e| {
        crate::error::invalid("the server's name is not one that TLS knows").with_source(e)
    })?;
    let connecting = TlsConnector::from(Arc::clone(&tls.config)).connect(name, socket);
    match timeout(STEP, connecting).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(failed(&format!("speaking TLS with {address}"), error)),
        Err(_) => Err(too_slow(&format!("speaking TLS with {address}"), STEP)),
    }
}

#[cfg(not(feature = "rustls"))]
async fn secure(
    _: &Deployment,
    _: &Place,
    socket: TcpStream,
) -> Result<Box<dyn Socket>, BrokerError> {
    Ok(Box::new(socket))
}

#[cfg(test)]
mod tests {
    use realtime_testkit::servers::Redis;
    use tokio::net::TcpListener;

    use super::*;
    use crate::RedisBrokerConfig;

    #[tokio::test]
    async fn an_address_that_says_nothing_keeps_no_other_from_its_turn() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let redis = Redis::start().await.unwrap();
        let there = SocketAddr::from(([127, 0, 0, 1], redis.port()));
        let deployment = RedisBrokerConfig::from_url(redis.url()).unwrap().deployment;
        let place = Place {
            address: Address::new("redis.example", redis.port()),
            name: None,
        };
        let login = deployment.login().await.unwrap();
        let addresses = [silent.local_addr().unwrap(), there];
        let opening = Opening {
            deployment: &deployment,
            place: &place,
            login: &login,
            name: "name",
            limit: ANSWER,
        };
        let open = |addresses| Connection::first_of(addresses, opening);
        tokio::select! {
            biased;
            opened = open(&addresses) => assert_eq!(opened.unwrap().mode(), Some("standalone")),
            _ = open(&addresses[..1]) => panic!("the silent one was waited for"),
        }
    }
}
