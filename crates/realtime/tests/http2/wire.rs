//! A client that speaks HTTP/2: several WebSockets, and plain requests, over one connection.

use std::net::SocketAddr;

use axum::body::Body;
use hyper::{
    Method, Request, Response, Uri,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    ext::Protocol,
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use realtime_testkit::{client::Client, wait::within};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};

pub(crate) type Socket = Client<TokioIo<Upgraded>>;

pub(crate) struct Wire {
    pub(crate) requests: SendRequest<Body>,
    scheme: &'static str,
    /// Ends with the connection.
    pub(crate) connection: JoinHandle<hyper::Result<()>>,
}

impl Wire {
    /// With prior knowledge.
    pub(crate) async fn plain(server: SocketAddr) -> Self {
        Self::over("http", TcpStream::connect(server).await.unwrap()).await
    }

    pub(crate) async fn over<S>(scheme: &'static str, stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        // Less than the server has room for in all.
        builder.initial_stream_window_size(64 * 1024);
        let (requests, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        let mut wire = Self {
            requests,
            scheme,
            connection: tokio::spawn(connection),
        };
        // Whether WebSockets are spoken is among what a server says first.
        wire.get("/nothing").await;
        wire
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response<Incoming> {
        let request = Request::get(self.uri(path)).body(Body::empty());
        self.send(request.unwrap()).await.unwrap()
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        within("an answer", self.requests.send_request(request)).await
    }

    fn uri(&self, path: &str) -> Uri {
        let uri = format!("{}://gateway.test{path}", self.scheme);
        uri.parse().unwrap()
    }

    /// A request for a WebSocket.
    pub(crate) fn request(&self, path: &str) -> Request<Body> {
        Request::builder()
            .method(Method::CONNECT)
            .uri(self.uri(path))
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(Body::empty())
            .unwrap()
    }

    /// A WebSocket, or the refusal.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Body>,
    ) -> Result<Socket, Response<Incoming>> {
        let mut response = self.send(request).await.unwrap();
        if response.status() != 200 {
            return Err(response);
        }
        let upgraded = hyper::upgrade::on(&mut response);
        let upgraded = within("the stream", upgraded).await.unwrap();
        Ok(Client::upgraded(TokioIo::new(upgraded)))
    }

    /// A WebSocket on `/ws`.
    pub(crate) async fn open(&mut self) -> Socket {
        let request = self.request("/ws");
        let opened = self.ask(request).await;
        opened.unwrap_or_else(|refused| panic!("expected a WebSocket; got {refused:?}"))
    }
}
