//! A proxy before two nodes, behind TLS, as a browser or a program reaches it over HTTP/1.1.

use std::net::Ipv4Addr;

use realtime_testkit::{
    client::{Answer, Client, ClientError, Request, raw_http_over},
    servers::ReverseProxy,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::{
    recipe::Recipe,
    tls::{Certificate, NAME},
};

pub(crate) type Stream = TlsStream<TcpStream>;

pub(crate) struct Site {
    pub(crate) proxy: ReverseProxy,
    pub(crate) certificate: Certificate,
}

impl Site {
    /// `recipe` is one for two nodes.
    pub(crate) async fn start(recipe: Recipe) -> Self {
        let certificate = Certificate::new();
        let proxy = recipe.start_with(&certificate).await;
        Self { proxy, certificate }
    }

    pub(crate) async fn stream(&self) -> Stream {
        let to = self.proxy.address();
        self.certificate.connect(to, &["http/1.1"]).await
    }

    /// A client that is somewhere else than the proxy.
    pub(crate) async fn stream_from(&self, client: Ipv4Addr) -> Stream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((client, 0).into()).unwrap();
        let tcp = socket.connect(self.proxy.address()).await.unwrap();
        self.certificate.over(tcp, &["http/1.1"]).await
    }

    pub(crate) async fn connect(&self) -> Result<Client<Stream>, ClientError> {
        named(Request::new("/ws")).over(self.stream().await).await
    }

    /// What an upgrade is refused with.
    pub(crate) async fn refused(&self, request: Request) -> Answer {
        match named(request).over(self.stream().await).await {
            Err(ClientError::Refused(answer)) => answer,
            other => panic!("expected a refusal; got {other:?}"),
        }
    }

    /// The answer to a plain request without a body.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> Answer {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 0\r\n\r\n");
        let mut stream = self.stream().await;
        raw_http_over(&mut stream, request.as_bytes())
            .await
            .unwrap()
    }
}

/// The request, with the site's name.
pub(crate) fn named(request: Request) -> Request {
    request.without("Host").header("Host", NAME)
}
