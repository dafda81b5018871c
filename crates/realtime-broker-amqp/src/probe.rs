//! Is there a RabbitMQ that answers?
//!
//! A server that was stopped, or that a partition has cut off, still accepts TCP connections or
//! leaves them hanging, and an attempt of the client library takes two threads. So a socket of ours
//! goes first, and says hello: over TLS, where that is spoken.

use std::{
    future::pending,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    thread,
    time::Duration,
};

use async_compat::Compat;
use futures::{StreamExt, stream::FuturesUnordered};
use lapin::{
    tcp::{AsyncTcpStream, OwnedTLSConfig},
    uri::{AMQPScheme, AMQPUri},
};
use realtime_core::broker::BrokerError;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    runtime::Handle,
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{AmqpConfig, config::shown, error::unavailable, runtime};

/// How long an address may take to answer.
const LIMIT: Duration = Duration::from_secs(1);
/// How long it may over TLS, which takes more round trips.
const TLS_LIMIT: Duration = Duration::from_secs(3);
/// After how long the next address of a name is tried, too, while those before it say nothing.
const NEXT: Duration = Duration::from_millis(200);
/// How many addresses of a name are tried.
const ADDRESSES: usize = 16;
/// How long it may take to find them out.
const LOOKUP: Duration = Duration::from_secs(1);
/// The system may take longer, and can't be stopped. So many names are looked up at the same time.
static LOOKUPS: Semaphore = Semaphore::const_new(16);
/// AMQP 0-9-1.
const HELLO: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// How a server is spoken to.
#[derive(Clone)]
enum Way {
    Plain,
    Tls {
        config: OwnedTLSConfig,
        /// The name that is expected in its certificate.
        name: String,
    },
}

impl Way {
    fn of(config: &AmqpConfig, url: &AMQPUri) -> Self {
        match url.scheme {
            AMQPScheme::AMQP => Self::Plain,
            AMQPScheme::AMQPS => Self::Tls {
                config: config.tls.clone(),
                name: config.name_of(url).to_owned(),
            },
        }
    }
}

/// The address of this server that answers first. One that is dead, such as `::1` where only
/// `127.0.0.1` is listened to, or that accepts connections and says nothing, keeps no other from its
/// turn.
pub(crate) async fn answers(config: &AmqpConfig, url: &AMQPUri) -> Result<SocketAddr, BrokerError> {
    let found = look_up(&url.authority.host, url.authority.port);
    let addresses = match timeout(LOOKUP, found).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(not_there(url).with_source(error)),
        Err(_) => {
            let why = format!("its name was not found within {LOOKUP:?}");
            return Err(not_there(url).with_source(why));
        }
    };
    let answered = first_of(&addresses, &Way::of(config, url)).await;
    answered.map_err(|why| not_there(url).with_source(why))
}

/// The system is asked for the addresses of a name on a thread of its own: those of the host's runtime
/// may all be in use.
async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let turn = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let (name, (found, addresses)) = (host.to_owned(), oneshot::channel());
    thread::Builder::new().spawn(move || {
        let all = (name.as_str(), port).to_socket_addrs();
        let all = all.map(|all| all.take(ADDRESSES).collect::<Vec<_>>());
        let _nobody_waits = found.send(all);
        drop(turn);
    })?;
    addresses.await.map_err(io::Error::other)?
}

/// The first of these addresses that answers, or why the one that failed first did.
async fn first_of(addresses: &[SocketAddr], way: &Way) -> io::Result<SocketAddr> {
    let mut attempts = FuturesUnordered::new();
    let mut first = None;
    let mut next = addresses.iter();
    loop {
        let started = next
            .next()
            .map(|address| attempts.push(attempt(*address, way)));
        // The last ones are waited for.
        let head_start = async {
            match started {
                Some(()) => sleep(NEXT).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            answered = attempts.next() => match answered {
                Some(Ok(address)) => return Ok(address),
                Some(Err(error)) => drop(first.get_or_insert(error)),
                None => break,
            },
            () = head_start => {}
        }
    }
    Err(first.unwrap_or_else(|| io::Error::other("its name has no address")))
}

async fn attempt(address: SocketAddr, way: &Way) -> io::Result<SocketAddr> {
    let (limit, asked) = match way {
        Way::Plain => (LIMIT, timeout(LIMIT, plainly(address)).await),
        Way::Tls { config, name } => {
            let asked = over_tls(address, config.clone(), name.clone());
            (TLS_LIMIT, timeout(TLS_LIMIT, asked).await)
        }
    };
    let asked = asked.unwrap_or_else(|_| {
        let why = format!("{address} did not answer within {limit:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    });
    asked.map(|()| address)
}

async fn plainly(address: SocketAddr) -> io::Result<()> {
    says_hello(TcpStream::connect(address).await?).await
}

/// The system's certificates are read for it, from many files, so it has a thread of its own: those
/// of the host's runtime may all be in use.
async fn over_tls(address: SocketAddr, config: OwnedTLSConfig, name: String) -> io::Result<()> {
    runtime::make().await?;
    // What takes more round trips comes behind it.
    let stream = timeout(LIMIT, TcpStream::connect(address)).await;
    let stream = stream.unwrap_or_else(|_| {
        let why = format!("{address} took no connection within {LIMIT:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    })?;
    let given_up = CancellationToken::new();
    let _when_dropped = given_up.clone().drop_guard();
    let (runtime, (answer, answered)) = (Handle::current(), oneshot::channel());
    thread::Builder::new().spawn(move || {
        let asking = async {
            let stream = AsyncTcpStream::Plain(Compat::new(stream));
            let stream = stream.into_tls(&name, config.as_ref()).await?;
            says_hello(Compat::new(stream)).await
        };
        let asked = runtime.block_on(given_up.run_until_cancelled(asking));
        let _nobody_waits = answer.send(asked);
    })?;
    match answered.await.map_err(io::Error::other)? {
        // It has said something, which the client library makes an error of that says what to do.
        Some(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Ok(()),
        Some(asked) => asked,
        None => Err(io::Error::other("nobody waits for this address any more")),
    }
}

async fn says_hello(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.write_all(HELLO).await?;
    stream.flush().await?;
    stream.read_u8().await.map(drop)
}

fn not_there(url: &AMQPUri) -> BrokerError {
    unavailable(format!("RabbitMQ can't be reached at {}", shown(url)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    #[cfg(feature = "rustls")]
    use realtime_testkit::servers::RabbitMq;
    use tokio::net::TcpListener;
    #[cfg(feature = "rustls")]
    use tokio::net::TcpSocket;
    use tokio::{runtime::Builder, task::spawn_blocking};

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// A server that says this to who comes first.
    async fn says(something: &'static [u8]) -> SocketAddr {
        let (server, address) = listener().await;
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            stream.write_all(something).await.unwrap();
            // Until the other end has read it.
            let _end = stream.read_to_end(&mut Vec::new()).await;
        });
        address
    }

    /// That one of the addresses is found while one that is silent is still waited for elsewhere.
    async fn assert_found_before(
        silent: SocketAddr,
        addresses: &[SocketAddr],
        alive: SocketAddr,
        way: &Way,
    ) {
        tokio::select! {
            biased;
            found = first_of(addresses, way) => assert_eq!(found.unwrap(), alive),
            _ = attempt(silent, way) => panic!("the silent one was waited for"),
        }
    }

    #[tokio::test]
    async fn addresses_that_are_dead_keep_no_other_from_its_turn() {
        let (_silent, silent) = listener().await;
        let (gone, refused) = listener().await;
        drop(gone);
        let alive = says(b"\x01").await;
        assert_found_before(silent, &[silent, refused, alive], alive, &Way::Plain).await;
    }

    #[cfg(feature = "rustls")]
    #[tokio::test]
    async fn over_tls_it_is_not_enough_to_be_connected_to() {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let server = RabbitMq::with_tls(&certificate, &key).await.unwrap();
        let alive = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
        let (_silent, silent) = listener().await;
        // Who isn't trusted has answered, too: why is said when a link is made.
        for roots in [Some(certificate), None] {
            let way = Way::Tls {
                config: OwnedTLSConfig {
                    identity: None,
                    cert_chain: roots,
                },
                name: "localhost".to_owned(),
            };
            assert_found_before(silent, &[silent, alive], alive, &way).await;
        }
    }

    #[cfg(feature = "rustls")]
    fn over_tls_with_the_systems_certificates() -> Way {
        Way::Tls {
            config: OwnedTLSConfig {
                identity: None,
                cert_chain: None,
            },
            name: "localhost".to_owned(),
        }
    }

    #[cfg(feature = "rustls")]
    #[tokio::test]
    async fn over_tls_one_that_takes_no_connection_is_left_as_soon() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let (full, mut queue) = (listener.local_addr().unwrap(), Vec::new());
        // Then the system answers nothing for it.
        while let Ok(waits) = timeout(LIMIT, TcpStream::connect(full)).await {
            queue.push(waits.unwrap());
        }
        let error = attempt(full, &over_tls_with_the_systems_certificates()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(
            error.to_string().contains("took no connection within 1s"),
            "{error}"
        );
    }

    /// In a runtime whose blocking threads are all in use.
    fn without_a_thread(test: impl Future<Output = ()>) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build();
        runtime.unwrap().block_on(async {
            let (release, held) = std::sync::mpsc::channel::<()>();
            let busy = spawn_blocking(move || held.recv());
            test.await;
            drop(release);
            assert!(busy.await.unwrap().is_err());
        });
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn over_tls_it_takes_no_thread_of_the_host() {
        without_a_thread(async {
            let alive = says(b"this is no TLS").await;
            let answered = attempt(alive, &over_tls_with_the_systems_certificates()).await;
            assert_eq!(answered.unwrap(), alive);
        });
    }

    #[test]
    fn to_look_up_a_name_takes_no_thread_of_the_host() {
        without_a_thread(async {
            let alive = says(b"\x01").await;
            let url = format!("amqp://localhost:{}", alive.port());
            let config = AmqpConfig::builder(url).build().unwrap();
            let answered = answers(&config, &config.urls[0]).await;
            assert_eq!(answered.unwrap(), alive);
        });
    }

    #[tokio::test]
    async fn where_all_are_dead_the_first_failure_is_told() {
        let (gone, refused) = listener().await;
        drop(gone);
        let error = first_of(&[refused, refused], &Way::Plain).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let none = first_of(&[], &Way::Plain).await.unwrap_err();
        assert!(none.to_string().contains("no address"));
    }
}
