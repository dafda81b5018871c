//! The same tests over another transport: what stands between a test's client and its server, which
//! speaks HTTP/1.1 over TCP with the one and something else with the other.
//!
//! `REALTIME_TRANSPORT` is `tls`, `http2` or `deflate`, or one of the first two with `+deflate` behind
//! it; without it nothing stands between them. The bytes of WebSockets go through as they are, but for
//! compression.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[cfg(feature = "deflate")]
mod deflate;

use std::{io, net::SocketAddr, sync::Arc};

use axum::body::Body;
use hyper::{
    Method, Request,
    client::conn::http2::{self, SendRequest},
    ext::Protocol,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use realtime::{Builder, Serve};
use realtime_websocket::handshake;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional, duplex},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls::pki_types::ServerName};

use super::tls;

/// How many WebSockets share a connection.
const SHARED_BY: usize = 16;

/// How much may be on its way between two of those that stand between them.
const BETWEEN: usize = 16 * 1024;

pub struct Transport {
    wire: Wire,
    deflates: bool,
}

enum Wire {
    Plain,
    Tls {
        acceptor: TlsAcceptor,
        connector: TlsConnector,
    },
    Http2,
}

/// Stands between them until it is dropped.
pub struct Between(JoinHandle<()>);

impl Drop for Between {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// With compression, where that is tested.
pub fn compressing<S, L>(builder: Builder<S, L>) -> Builder<S, L> {
    if !Transport::chosen().deflates {
        return builder;
    }
    #[cfg(feature = "deflate")]
    {
        let mut compression = realtime::config::Compression::default();
        compression.floor = 1;
        builder.compression(compression)
    }
    #[cfg(not(feature = "deflate"))]
    panic!("it needs the feature deflate");
}

impl Transport {
    pub fn chosen() -> Self {
        let chosen = std::env::var("REALTIME_TRANSPORT").unwrap_or_default();
        let (wire, deflates) = match chosen.strip_suffix("deflate") {
            Some(wire) => (wire.strip_suffix('+').unwrap_or(wire), true),
            None => (&*chosen, false),
        };
        let wire = match wire {
            "" | "plain" => Wire::Plain,
            "tls" => Wire::tls(),
            "http2" => Wire::Http2,
            _ => panic!("expected REALTIME_TRANSPORT to be as said above; got {chosen}"),
        };
        Self { wire, deflates }
    }

    pub fn prepare(&self, server: Serve<axum::Router>) -> Serve<axum::Router> {
        self.wire.prepare(server)
    }

    /// Where clients connect to reach the server that is there.
    pub async fn before(self, server: SocketAddr) -> (SocketAddr, Option<Between>) {
        if matches!(self.wire, Wire::Plain) && !self.deflates {
            return (server, None);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (this, wires) = (Arc::new(self), Arc::<Wires>::default());
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                client.set_nodelay(true).unwrap();
                let (this, wires) = (Arc::clone(&this), Arc::clone(&wires));
                tokio::spawn(async move {
                    let _ended = this.carry(client, server, &wires).await;
                });
            }
        });
        (addr, Some(Between(task)))
    }

    async fn carry(&self, client: TcpStream, server: SocketAddr, wires: &Wires) -> io::Result<()> {
        if !self.deflates {
            return self.wire.carry(client, server, wires).await;
        }
        #[cfg(feature = "deflate")]
        {
            let (near, far) = duplex(BETWEEN);
            let carried = self.wire.carry(far, server, wires);
            tokio::try_join!(deflate::carry(client, near), carried).map(drop)
        }
        #[cfg(not(feature = "deflate"))]
        panic!("it needs the feature deflate");
    }
}

impl Wire {
    fn tls() -> Self {
        let (acceptor, connector) = tls::both();
        Self::Tls {
            acceptor,
            connector,
        }
    }

    fn prepare(&self, server: Serve<axum::Router>) -> Serve<axum::Router> {
        match self {
            Self::Plain => server,
            #[cfg(feature = "http2")]
            Self::Http2 => server.http2(),
            #[cfg(not(feature = "http2"))]
            Self::Http2 => panic!("it needs the feature http2"),
            Self::Tls { acceptor, .. } => {
                let acceptor = acceptor.clone();
                server.secure(move |tcp| acceptor.accept(tcp))
            }
        }
    }

    async fn carry<C>(&self, client: C, server: SocketAddr, wires: &Wires) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        match self {
            Self::Plain => pump(client, TcpStream::connect(server).await?).await,
            Self::Tls { connector, .. } => {
                let name = ServerName::try_from("gateway.test").unwrap();
                let tcp = TcpStream::connect(server).await?;
                tcp.set_nodelay(true)?;
                pump(client, connector.connect(name, tcp).await?).await
            }
            Self::Http2 => over_http2(client, server, wires).await,
        }
    }
}

async fn pump(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut server: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// The last connection, and how many WebSockets were opened on it.
#[derive(Default)]
struct Wires(Mutex<Option<(SendRequest<Body>, usize)>>);

impl Wires {
    async fn one(&self, server: SocketAddr) -> io::Result<SendRequest<Body>> {
        let mut last = self.0.lock().await;
        if let Some((wire, opened)) = last.as_mut()
            && *opened < SHARED_BY
            && !wire.is_closed()
        {
            *opened += 1;
            return Ok(wire.clone());
        }
        let tcp = TcpStream::connect(server).await?;
        tcp.set_nodelay(true)?;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await;
        let (mut wire, connection) = handshake.map_err(io::Error::other)?;
        tokio::spawn(connection);
        // Whether WebSockets are spoken is among what a server says first.
        let nothing = Request::get("http://gateway.test/nothing").body(Body::empty());
        let answer = wire.send_request(nothing.unwrap()).await;
        answer.map_err(io::Error::other)?;
        *last = Some((wire.clone(), 1));
        Ok(wire)
    }
}

/// What comes up to the end of an HTTP head, or of all.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    head
}

async fn over_http2(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    server: SocketAddr,
    wires: &Wires,
) -> io::Result<()> {
    let head = head(&mut client).await;
    let Some((request, key)) = translated(&head) else {
        // What can't be said over HTTP/2.
        let mut server = TcpStream::connect(server).await?;
        server.write_all(&head).await?;
        return pump(client, server).await;
    };
    let asked = wires.one(server).await?.send_request(request).await;
    let mut response = match (asked, translated(&head)) {
        (Ok(response), _) => response,
        // A node that drains takes no more on a connection: then on another one, once.
        (Err(_), Some((request, _))) => {
            *wires.0.lock().await = None;
            let again = wires.one(server).await?.send_request(request).await;
            again.map_err(io::Error::other)?
        }
        (Err(error), None) => return Err(io::Error::other(error)),
    };
    let mut answer = match response.status().as_u16() {
        200 => format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-accept: {}\r\n",
            handshake::accept_key(key.as_bytes())
        ),
        _ => format!("HTTP/1.1 {}\r\n", response.status()),
    };
    for (name, value) in response.headers() {
        answer += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    client.write_all(format!("{answer}\r\n").as_bytes()).await?;
    if response.status() != 200 {
        return Ok(());
    }
    let upgraded = hyper::upgrade::on(&mut response).await;
    pump(client, TokioIo::new(upgraded.map_err(io::Error::other)?)).await
}

/// A proper upgrade, as HTTP/2 says it, and its key.
fn translated(head: &[u8]) -> Option<(Request<Body>, String)> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let (method, rest) = lines.next()?.split_once(' ')?;
    let path = rest.strip_suffix(" HTTP/1.1").filter(|_| method == "GET")?;
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
    let one = |name: &str| {
        let mut found = headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let first = found.next().map(|(_, value)| value.trim())?;
        found.next().is_none().then_some(first)
    };
    let (host, key) = (one("host")?, one("sec-websocket-key")?);
    let is_proper = one("upgrade")?.eq_ignore_ascii_case("websocket")
        && one("connection")?.eq_ignore_ascii_case("upgrade")
        && one("transfer-encoding").is_none();
    if !is_proper {
        return None;
    }
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{host}{path}"))
        .extension(Protocol::from_static("websocket"));
    let own = ["host", "upgrade", "connection", "sec-websocket-key"];
    for (name, value) in &headers {
        if !own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            request = request.header(*name, value.trim());
        }
    }
    Some((request.body(Body::empty()).ok()?, key.to_owned()))
}
