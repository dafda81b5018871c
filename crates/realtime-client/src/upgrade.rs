//! The opening handshake over HTTP/1.1: what is asked, and what the answer must be.

use std::{borrow::Cow, io};

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue};
use realtime_websocket::handshake;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::compression::{Agreed, Compression};

/// The longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// Headers that the handshake sets itself.
pub(crate) fn is_own(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "host" | "upgrade" | "connection" | "content-length" | "transfer-encoding"
    ) || name.starts_with("sec-websocket-")
}

/// Why there is no WebSocket.
pub(crate) enum Unopened {
    Refused {
        status: u16,
        retry_after: Option<f64>,
    },
    Io(io::Error),
    /// What answers isn't a WebSocket server that speaks the codec.
    Other(Cow<'static, str>),
}

impl Unopened {
    pub(crate) fn other(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Other(text.into())
    }
}

impl From<io::Error> for Unopened {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub(crate) struct Upgrade<'u> {
    pub(crate) target: &'u str,
    pub(crate) authority: &'u str,
    pub(crate) headers: &'u HeaderMap,
    /// The codec's name first.
    pub(crate) protocols: Vec<String>,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) compression: Compression,
}

impl Upgrade<'_> {
    /// Returns what came behind the answer, and what is agreed on by it.
    pub(crate) async fn ask<S>(&self, stream: &mut S) -> Result<(BytesMut, Agreed), Unopened>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let key = handshake::client_key(fastrand::u128(..).to_ne_bytes());
        stream.write_all(&self.head(&key)).await?;
        stream.flush().await?;
        let mut input = BytesMut::with_capacity(1024);
        let end = loop {
            if let Some(at) = input.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if input.len() > LONGEST_HEAD {
                return Err(Unopened::other("the head of its answer is too long"));
            }
            if stream.read_buf(&mut input).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        };
        let head = input.split_to(end);
        let agreed = self.check(&String::from_utf8_lossy(&head), &key)?;
        Ok((input, agreed))
    }

    fn head(&self, key: &str) -> Vec<u8> {
        let mut head = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\
             sec-websocket-protocol: {}\r\n",
            self.target,
            self.authority,
            self.protocols.join(", ")
        )
        .into_bytes();
        let mut put = |name: &str, value: &HeaderValue| {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        };
        for (name, value) in self.headers {
            put(name.as_str(), value);
        }
        if let Some(value) = &self.authorization {
            put("authorization", value);
        }
        if let Some(offer) = self.compression.offer() {
            head.extend_from_slice(format!("sec-websocket-extensions: {offer}\r\n").as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    fn check(&self, head: &str, key: &str) -> Result<Agreed, Unopened> {
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..));
        let status = status.and_then(|rest| rest.split(' ').next()?.parse::<u16>().ok());
        let status = status.ok_or_else(|| Unopened::other("it doesn't speak HTTP/1.1"))?;
        let (mut accept, mut protocol, mut retry_after, mut upgrades) = (None, None, None, false);
        let mut extensions = Vec::new();
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "sec-websocket-accept" => accept = Some(value),
                "sec-websocket-extensions" => extensions.push(value),
                "sec-websocket-protocol" => protocol = Some(value),
                "retry-after" => retry_after = value.parse().ok(),
                "upgrade" => upgrades = value.eq_ignore_ascii_case("websocket"),
                _ => {}
            }
        }
        if status != 101 {
            return Err(Unopened::Refused {
                status,
                retry_after,
            });
        }
        if !upgrades || accept != Some(&handshake::accept_key(key.as_bytes())) {
            return Err(Unopened::other("its answer to the upgrade isn't one"));
        }
        if protocol.map(str::as_bytes) != self.protocols.first().map(String::as_bytes) {
            return Err(Unopened::other("it doesn't speak this codec"));
        }
        self.compression
            .accept(&extensions)
            .map_err(Unopened::Other)
    }
}
