//! A WebSocket connection of a client, without the deadlines and comforts of a test's.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use realtime_websocket::{Decoder, Event, Kind, Limits, Role, frame, handshake};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// The mask of all frames: a load needs no secret.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// How long a connect, its upgrade or an answer may take: far longer than a client would wait, so
/// that a slow server is measured in place of being given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer to a recovery.
const LONGEST: usize = 64 << 20;

/// An open connection.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    decoder: Decoder,
    events: VecDeque<Event>,
    buffer: Box<[u8]>,
}

impl Link {
    /// Connects from this address to that one, as this identity.
    pub(super) async fn open(from: IpAddr, to: SocketAddr, identity: &str) -> io::Result<Self> {
        within(async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(from, 0))?;
            let mut stream = socket.connect(to).await?;
            stream.set_nodelay(true)?;
            let request = format!(
                "GET /ws?identity={identity} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
                handshake::client_key([7; 16])
            );
            stream.write_all(request.as_bytes()).await?;
            let mut link = Self {
                stream,
                decoder: Decoder::new(Role::Client, Limits::default().with_message(LONGEST)),
                events: VecDeque::new(),
                buffer: vec![0; 4 * 1024].into(),
            };
            link.upgraded().await?;
            Ok(link)
        })
        .await
    }

    async fn upgraded(&mut self) -> io::Result<()> {
        let mut head = Vec::new();
        let end = loop {
            if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.stream.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        if !head.starts_with(b"HTTP/1.1 101") {
            let status = String::from_utf8_lossy(&head);
            let status = status.lines().next().unwrap_or_default();
            return Err(io::Error::other(format!(
                "expected an upgrade; got {status:?}"
            )));
        }
        decode(&mut self.decoder, &mut self.events, &head[end..])
    }

    /// Sends a text message.
    pub(super) async fn send(&mut self, text: &str) -> io::Result<()> {
        let frame = frame::client_frame(true, Kind::Text, text.as_bytes(), KEY);
        self.stream.write_all(&frame).await
    }

    /// The next text message. Pings are answered; a close is an error that says why.
    pub(super) async fn next(&mut self) -> io::Result<String> {
        loop {
            match self.events.pop_front() {
                Some(Event::Text(text)) => return Ok(text),
                Some(Event::Ping(payload)) => {
                    let pong = frame::fragment(10, true, &payload, Some(KEY));
                    self.stream.write_all(&pong).await?;
                }
                Some(Event::Pong(_)) => {}
                Some(other) => return Err(io::Error::other(format!("{other:?}"))),
                None => match self.stream.read(&mut self.buffer).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => decode(&mut self.decoder, &mut self.events, &self.buffer[..read])?,
                },
            }
        }
    }

    /// The next text message, which must come soon.
    pub(super) async fn answer(&mut self) -> io::Result<String> {
        within(self.next()).await
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn decode(decoder: &mut Decoder, events: &mut VecDeque<Event>, mut bytes: &[u8]) -> io::Result<()> {
    while let Some(event) = decoder.decode(&mut bytes).map_err(io::Error::other)? {
        events.push_back(event);
    }
    Ok(())
}
