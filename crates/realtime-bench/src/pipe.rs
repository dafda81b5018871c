//! Sessions over pipes in this process: no kernel, no network.

use std::{
    io,
    time::{Duration, SystemTime},
};

use http::request::Parts;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use realtime::{
    BoxError, Gateway, Identity, Payload, Router, Session,
    auth::{AuthError, Authenticator},
    config::{Limits, Rate},
};
use realtime_websocket::{Kind, frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::{Builder, Runtime},
};

/// A client whose upgrade is answered.
///
/// # Errors
/// When it is refused.
pub async fn connect(gateway: &Gateway) -> io::Result<DuplexStream> {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let service = TowerToHyperService::new(gateway.clone());
    tokio::spawn(
        http1::Builder::new()
            .serve_connection(TokioIo::new(server), service)
            .with_upgrades(),
    );
    let request = b"GET /ws HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(request).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    if head.starts_with(b"HTTP/1.1 101") {
        Ok(client)
    } else {
        Err(io::Error::other("the upgrade was refused"))
    }
}

/// Requests that are written together, and their answers.
#[derive(Debug)]
pub struct Burst {
    /// Its sessions end with it.
    _gateway: Gateway,
    runtime: Runtime,
    client: DuplexStream,
    sent: Vec<u8>,
    answers: Vec<u8>,
}

impl Burst {
    /// So many requests with this data, a JSON value, to a route that answers with the same.
    ///
    /// # Errors
    /// When the gateway can't be built or connected to.
    pub fn new(requests: usize, data: &str) -> Result<Self, BoxError> {
        let router = Router::new().route("echo", async |data: Payload| data);
        Self::to(&realtime::builder().router(router).build()?, requests, data)
    }

    /// The same where messages and bytes of the session are limited, and these are within it.
    ///
    /// # Errors
    /// When the gateway can't be built or connected to.
    pub fn limited(requests: usize, data: &str) -> Result<Self, BoxError> {
        let router = Router::new().route("echo", async |data: Payload| data);
        let mut limits = Limits::default();
        let plenty = Some(Rate::per_second(Rate::MAX));
        (limits.messages_per_session, limits.bytes_per_session) = (plenty, plenty);
        let gateway = realtime::builder().router(router).limits(limits).build()?;
        Self::to(&gateway, requests, data)
    }

    /// The same where what the client has shown ends in an hour.
    ///
    /// # Errors
    /// When the gateway can't be built or connected to.
    pub fn ending(requests: usize, data: &str) -> Result<Self, BoxError> {
        let router = Router::new().route("echo", async |data: Payload| data);
        let builder = realtime::builder().router(router).authenticator(InAnHour);
        Self::to(&builder.build()?, requests, data)
    }

    /// So many messages without an id, to a route that sends their data back.
    ///
    /// # Errors
    /// When the gateway can't be built or connected to.
    pub fn sent_back(messages: usize, data: &str) -> Result<Self, BoxError> {
        let back = async |session: Session, data: Payload| session.send_wait("echo", data).await;
        let router = Router::new().route("echo", back);
        let text = format!(r#"{{"route":"echo","data":{data}}}"#);
        Self::of(
            &realtime::builder().router(router).build()?,
            messages,
            &text,
        )
    }

    /// The same to a gateway of one's own, with a route `echo`.
    ///
    /// # Errors
    /// When it can't be connected to.
    pub fn to(gateway: &Gateway, requests: usize, data: &str) -> Result<Self, BoxError> {
        let text = format!(r#"{{"id":"1","route":"echo","data":{data}}}"#);
        Self::of(gateway, requests, &text)
    }

    fn of(gateway: &Gateway, messages: usize, text: &str) -> Result<Self, BoxError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(connect(gateway))?;
        let sent = frame::client_frame(true, Kind::Text, text.as_bytes(), [1, 2, 3, 4]);
        Ok(Self {
            _gateway: gateway.clone(),
            runtime,
            client,
            sent: sent.repeat(messages),
            answers: frame::server_frame(Kind::Text, text.as_bytes()).repeat(messages),
        })
    }

    /// Sends all requests and reads all answers.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn once(&mut self) -> io::Result<()> {
        let Self {
            runtime,
            client,
            sent,
            answers,
            ..
        } = self;
        runtime.block_on(async {
            client.write_all(sent).await?;
            client.read_exact(answers).await.map(drop)
        })
    }
}

/// Everybody is somebody until then.
struct InAnHour;

impl Authenticator for InAnHour {
    async fn authenticate(&self, _: &Parts) -> Result<Identity, AuthError> {
        let end = SystemTime::now() + Duration::from_secs(3600);
        Ok(Identity::new("ann").with_expires_at(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_of_every_burst_is_answered() {
        for burst in [Burst::new, Burst::limited, Burst::ending, Burst::sent_back] {
            let mut burst = burst(16, r#""hello""#).unwrap();
            let expected = burst.answers.clone();
            for _ in 0..3 {
                burst.answers.fill(0);
                burst.once().unwrap();
                assert_eq!(burst.answers, expected);
            }
        }
    }
}
