//! The same tests over another transport: what stands between a test's client and its server, which
//! speaks HTTP/1.1 over TCP with the one and something else with the other.
//!
//! `REALTIME_TRANSPORT` is `tls`, `http2` or `deflate`, or one of the first two with `+deflate` behind
//! it; without it nothing stands between them. The bytes of WebSockets go through as they are, but for
//! compression.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[cfg(feature = "deflate")]
mod deflate;

use std::{io, net::SocketAddr, pin::pin, sync::Arc};

use axum::body::Body;
use futures::{FutureExt, future::BoxFuture};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    ext::Protocol,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use realtime::{Builder, Serve};
use realtime_websocket::handshake;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, split},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Mutex,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls::pki_types::ServerName, server::TlsStream};

use super::tls::ServerIdentity;

/// How many WebSockets share a connection.
const SHARED_BY: usize = 16;

/// How much may be on its way between two of those that stand between them.
const BETWEEN: usize = 16 * 1024;

pub struct Transport {
    wire: Wire,
    deflates: bool,
    room: Option<u32>,
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

/// With compression, where that is tested: behind [`Builder::config`], which switches it off.
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
        Self::by(ServerIdentity::random)
    }

    /// The same, with a server that is known.
    pub fn to(server: ServerIdentity) -> Self {
        Self::by(|| server)
    }

    fn by(identity: impl FnOnce() -> ServerIdentity) -> Self {
        let chosen = std::env::var("REALTIME_TRANSPORT").unwrap_or_default();
        let (wire, deflates) = match chosen.strip_suffix("deflate") {
            Some(wire) => (wire.strip_suffix('+').unwrap_or(wire), true),
            None => (&*chosen, false),
        };
        let wire = match wire {
            "" | "plain" => Wire::Plain,
            "tls" => Wire::tls(identity()),
            "http2" => Wire::Http2,
            _ => panic!("expected REALTIME_TRANSPORT to be as said above; got {chosen}"),
        };
        Self {
            wire,
            deflates,
            room: None,
        }
    }

    /// With about so much room in each socket and stream for what isn't read, in place of what the
    /// kernel grows to: who reads nothing is soon slow.
    pub fn narrow(mut self, room: u32) -> Self {
        self.room = Some(room);
        self
    }

    pub fn prepare(&self, server: Serve<axum::Router>) -> Serve<axum::Router> {
        self.wire.prepare(server)
    }

    /// The app under `axum::serve`, which speaks HTTP/2 of itself.
    pub fn serve_by_axum(
        &self,
        listener: TcpListener,
        app: axum::Router,
        stopped: impl Future<Output = ()> + Send + 'static,
    ) -> BoxFuture<'static, io::Result<()>> {
        match &self.wire {
            Wire::Plain | Wire::Http2 => {
                let server = axum::serve(listener, app);
                server.with_graceful_shutdown(stopped).into_future().boxed()
            }
            Wire::Tls { acceptor, .. } => {
                let secured = Secured {
                    listener,
                    acceptor: acceptor.clone(),
                    shaking: JoinSet::new(),
                };
                let server = axum::serve(secured, app);
                server.with_graceful_shutdown(stopped).into_future().boxed()
            }
        }
    }

    /// Where clients connect to reach the server that is there.
    pub async fn before(self, server: SocketAddr) -> (SocketAddr, Option<Between>) {
        if matches!(self.wire, Wire::Plain) && !self.deflates {
            return (server, None);
        }
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(room) = self.room {
            socket.set_send_buffer_size(room).unwrap();
        }
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1024).unwrap();
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
            return self.carry_plain(client, server, wires).await;
        }
        #[cfg(feature = "deflate")]
        {
            let (near, far) = tokio::io::duplex(BETWEEN);
            let carried = self.carry_plain(far, server, wires);
            // What one of them has taken, the other still has to pass on.
            let (deflated, carried) = tokio::join!(deflate::carry(client, near), carried);
            deflated.and(carried)
        }
        #[cfg(not(feature = "deflate"))]
        panic!("it needs the feature deflate");
    }

    async fn carry_plain<C>(&self, client: C, server: SocketAddr, wires: &Wires) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        match &self.wire {
            Wire::Plain => pump(client, self.connect(server).await?).await,
            Wire::Tls { connector, .. } => {
                let name = ServerName::try_from("gateway.test").unwrap();
                let tcp = self.connect(server).await?;
                pump(client, connector.connect(name, tcp).await?).await
            }
            Wire::Http2 => over_http2(client, server, wires, self.room).await,
        }
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(room) = self.room {
            socket.set_recv_buffer_size(room)?;
        }
        let tcp = socket.connect(server).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }
}

/// A listener for `axum::serve` whose connections are those that have shaken hands.
struct Secured {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    shaking: JoinSet<io::Result<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl axum::serve::Listener for Secured {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (tcp, addr) = accepted.unwrap();
                    let tls = self.acceptor.accept(tcp);
                    self.shaking.spawn(async move { Ok((tls.await?, addr)) });
                }
                Some(shaken) = self.shaking.join_next() => {
                    if let Ok(connection) = shaken.unwrap() {
                        return connection;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Wire {
    fn tls(identity: ServerIdentity) -> Self {
        let (acceptor, connector) = identity.both();
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
}

/// Each direction up to its end. Who reset a connection has reset the other, too.
async fn pump(
    client: impl AsyncRead + AsyncWrite + Unpin,
    server: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let up = async {
        let mut buffer = vec![0; 8 * 1024];
        loop {
            let read = from_client.read(&mut buffer).await?;
            let sent = match read {
                0 => return to_server.shutdown().await,
                _ => to_server.write_all(&buffer[..read]).await,
            };
            // It has closed: what it has said before is still to be heard.
            if sent.is_err() || to_server.flush().await.is_err() {
                return Ok(());
            }
        }
    };
    let down = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(up, down).map(drop)
}

/// The last connection, and how many WebSockets were opened on it.
#[derive(Default)]
struct Wires(Mutex<Option<(SendRequest<Body>, usize)>>);

impl Wires {
    async fn one(&self, server: SocketAddr, room: Option<u32>) -> io::Result<SendRequest<Body>> {
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
        let mut builder = http2::Builder::new(TokioExecutor::new());
        if let Some(room) = room {
            builder.initial_stream_window_size(room);
        }
        let handshake = builder.handshake(TokioIo::new(tcp)).await;
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
    room: Option<u32>,
) -> io::Result<()> {
    let head = head(&mut client).await;
    let Some((request, key)) = translated(&head) else {
        // What can't be said over HTTP/2.
        let mut server = TcpStream::connect(server).await?;
        server.write_all(&head).await?;
        return pump(client, server).await;
    };
    let asked = ask(&head, request, server, wires, room);
    let Some((response, ahead)) = unless_it_leaves(&mut client, asked).await? else {
        return Ok(());
    };
    let mut response = response?;
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
    let mut upgraded = TokioIo::new(upgraded.map_err(io::Error::other)?);
    upgraded.write_all(&ahead).await?;
    pump(client, upgraded).await
}

/// What comes of a client's request, and what came behind that meanwhile; `None` where the client has
/// left.
async fn unless_it_leaves<T>(
    client: &mut (impl AsyncRead + Unpin),
    answered: impl Future<Output = T>,
) -> io::Result<Option<(T, Vec<u8>)>> {
    let (mut answered, mut ahead) = (pin!(answered), Vec::new());
    loop {
        tokio::select! {
            answer = &mut answered => return Ok(Some((answer, ahead))),
            read = client.read_buf(&mut ahead), if ahead.len() < BETWEEN => {
                if read? == 0 {
                    return Ok(None);
                }
            }
        }
    }
}

async fn ask(
    head: &[u8],
    request: Request<Body>,
    server: SocketAddr,
    wires: &Wires,
    room: Option<u32>,
) -> io::Result<Response<Incoming>> {
    let mut wire = wires.one(server, room).await?;
    let asked = wire.send_request(request).await;
    match (asked, translated(head)) {
        // A node that drains takes no more on a connection: then on another one, once.
        (Err(_), Some((again, _))) => {
            *wires.0.lock().await = None;
            let mut wire = wires.one(server, room).await?;
            wire.send_request(again).await.map_err(io::Error::other)
        }
        (asked, _) => asked.map_err(io::Error::other),
    }
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
