//! What a server speaks that isn't understood: with TLS where none is expected, or without.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::Address;

/// How long it may take to find out.
const LIMIT: Duration = Duration::from_secs(1);

/// Why a server isn't understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Speech {
    /// It ends the connection without a word.
    Ends,
    /// It answers without TLS.
    Plain,
}

impl Speech {
    /// What a server speaks with which no connection could be made, `with_tls` or without: asked
    /// without, in a connection of its own. Nothing where that explains nothing, or takes more than
    /// 1 s. No credentials are shown. Cancel safe.
    pub async fn of(server: &Address, with_tls: bool) -> Option<Self> {
        let asked = timeout(LIMIT, async {
            let mut socket = TcpStream::connect((server.host.as_str(), server.port)).await?;
            socket.write_all(b"PING\r\n").await?;
            let mut first = [0];
            let count = socket.read(&mut first).await?;
            std::io::Result::Ok(first.get(..count).map(<[u8]>::to_vec))
        });
        match (asked.await.ok()?, with_tls) {
            (Ok(Some(first)), true) if first == b"+" || first == b"-" => Some(Self::Plain),
            // An alert of TLS.
            (Ok(Some(first)), false) if first == [21] || first.is_empty() => Some(Self::Ends),
            (Err(error), false) if is_ended(&error) => Some(Self::Ends),
            _ => None,
        }
    }

    /// What was expected, and what to do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Ends => {
                "expected an answer; the server ended the connection without a word, as one does \
                 that expects TLS: use rediss: (or rediss-cluster:, rediss-sentinel:) for such a \
                 port"
            }
            Self::Plain => {
                "expected TLS; this server answers without it: use redis: (or redis-cluster:, \
                 redis-sentinel:) in the URL, or its port for TLS"
            }
        }
    }
}

fn is_ended(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}
