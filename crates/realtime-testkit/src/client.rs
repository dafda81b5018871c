//! A WebSocket client for tests, which can also send bytes of any kind.

use std::{collections::VecDeque, io, net::SocketAddr};

use bytes::Bytes;
use realtime_websocket::{Decoder, Event, Kind, Limits, Role, Violation, frame, handshake};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::wait::within;

/// The mask of all frames. A fixed one is as good as any in a test.
pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What went wrong at the client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server answered the upgrade with something else than 101.
    #[error("the upgrade was refused with {}", .0.status)]
    Refused(Answer),
    /// The connection failed or ended.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The server broke the protocol.
    #[error("the server broke the protocol")]
    Violation(#[from] Violation),
}

/// An HTTP response, as far as a test needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
}

impl Answer {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A request for a WebSocket.
#[derive(Debug, Clone)]
#[must_use]
pub struct Request {
    path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A proper upgrade request for this path and query.
    pub fn new(path: impl Into<String>) -> Self {
        let headers = [
            ("Host", "gateway.test"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
        ];
        let mut headers: Vec<(String, String)> = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        headers.push((
            "Sec-WebSocket-Key".to_owned(),
            handshake::client_key([7; 16]),
        ));
        Self {
            path: path.into(),
            headers,
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a header away.
    pub fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    /// Offers a subprotocol before any other, unless it is offered already.
    #[cfg(feature = "gateway")]
    pub(crate) fn offering(mut self, protocol: &str) -> Self {
        let is_offer = |name: &str| name.eq_ignore_ascii_case("sec-websocket-protocol");
        let mut offers = self.headers.iter().filter(|(name, _)| is_offer(name));
        if !offers.any(|(_, offered)| offered.split(',').any(|one| one.trim() == protocol)) {
            let offer = ("Sec-WebSocket-Protocol".to_owned(), protocol.to_owned());
            self.headers.insert(0, offer);
        }
        self
    }

    fn bytes(&self) -> String {
        let mut text = format!("GET {} HTTP/1.1\r\n", self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text + "\r\n"
    }

    /// Opens a connection over TCP.
    ///
    /// # Errors
    /// When there is no server, or it refuses.
    pub async fn connect(&self, server: SocketAddr) -> Result<Client<TcpStream>, ClientError> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        self.over(stream).await
    }

    /// Opens a connection over a stream of any kind.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn over<S>(&self, stream: S) -> Result<Client<S>, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        within("an HTTP response", self.open(stream)).await
    }

    /// The same without a deadline.
    pub(crate) async fn open<S>(&self, mut stream: S) -> Result<Client<S>, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        stream.write_all(self.bytes().as_bytes()).await?;
        let (answer, rest) = read_head(&mut stream).await?;
        if answer.status != 101 {
            return Err(ClientError::Refused(answer));
        }
        let mut client = Client::of(stream, answer);
        client.take(&rest)?;
        Ok(client)
    }

    /// Sends the request and expects a refusal.
    ///
    /// # Panics
    /// When the server accepts, or there is none.
    pub async fn refused(&self, server: SocketAddr) -> Answer {
        #[allow(clippy::panic, reason = "a test fails by a panic")]
        match self.connect(server).await {
            Err(ClientError::Refused(answer)) => answer,
            Ok(_) => panic!("expected a refusal; the upgrade was accepted"),
            Err(error) => panic!("expected a refusal; got {error}"),
        }
    }
}

/// Sends bytes and reads the head of what is answered.
///
/// # Errors
/// When the connection fails, or ends before there is a whole head.
pub async fn raw_http(server: SocketAddr, request: &[u8]) -> Result<Answer, ClientError> {
    raw_http_over(&mut TcpStream::connect(server).await?, request).await
}

/// The same over a stream of any kind.
///
/// # Errors
/// When the stream fails, or ends before there is a whole head.
pub async fn raw_http_over<S>(stream: &mut S, request: &[u8]) -> Result<Answer, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(request).await?;
    // Over TLS what was written may lie there still.
    stream.flush().await?;
    let head = within("an HTTP response", read_head(stream));
    Ok(head.await?.0)
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(Answer, Vec<u8>), io::Error> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let rest = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("not an HTTP response"))?;
    Ok((Answer { status, head }, rest))
}

/// An open connection.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    /// The stream, for whatever a well-behaved client would not do.
    pub stream: S,
    /// The answer to the upgrade request.
    pub answer: Answer,
    /// Whether pings are answered while something is read. Default: yes.
    pub auto_pong: bool,
    pub(crate) decoder: Decoder,
    pub(crate) events: VecDeque<Event>,
    next_id: u64,
}

impl Client {
    /// Opens a connection to `/ws`.
    ///
    /// # Errors
    /// When there is no server, or it refuses.
    pub async fn connect(server: SocketAddr) -> Result<Self, ClientError> {
        Request::new("/ws").connect(server).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// One over a stream that is a WebSocket already, such as one of HTTP/2.
    pub fn upgraded(stream: S) -> Self {
        let (status, head) = (200, String::new());
        Self::of(stream, Answer { status, head })
    }

    fn of(stream: S, answer: Answer) -> Self {
        Self {
            stream,
            answer,
            decoder: Decoder::new(Role::Client, Limits::default().with_message(64 << 20)),
            events: VecDeque::new(),
            auto_pong: true,
            next_id: 0,
        }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), ClientError> {
        while let Some(event) = self.decoder.decode(&mut bytes)? {
            self.events.push_back(event);
        }
        Ok(())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send_text(&mut self, text: &str) -> Result<(), ClientError> {
        self.send_raw(&frame::client_frame(true, Kind::Text, text.as_bytes(), KEY))
            .await
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send_binary(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.send_raw(&frame::client_frame(true, Kind::Binary, bytes, KEY))
            .await
    }

    /// Sends one frame of any opcode.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send_frame(
        &mut self,
        opcode: u8,
        fin: bool,
        payload: &[u8],
    ) -> Result<(), ClientError> {
        self.send_raw(&frame::fragment(opcode, fin, payload, Some(KEY)))
            .await
    }

    /// Sends a close frame.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), ClientError> {
        let payload = frame::close_payload(code, reason);
        self.send_frame(8, true, &payload).await
    }

    /// Sends an envelope without an id.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(&mut self, route: &str, data: Value) -> Result<(), ClientError> {
        self.send_text(&json!({ "route": route, "data": data }).to_string())
            .await
    }

    /// Sends an envelope with an id, and waits for the answer with that id.
    ///
    /// # Errors
    /// When the connection fails first.
    pub async fn request(&mut self, route: &str, data: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let id = self.next_id.to_string();
        self.send_text(&json!({ "id": id, "route": route, "data": data }).to_string())
            .await?;
        loop {
            let message = self.recv_json().await?;
            if message["id"] == id.as_str() {
                return Ok(message);
            }
        }
    }

    /// The next thing that the server sends. Pings are answered and skipped, unless `auto_pong`
    /// is off.
    ///
    /// # Errors
    /// When the connection ends, or the server breaks the protocol.
    pub async fn recv(&mut self) -> Result<Event, ClientError> {
        within("something from the server", self.recv_patiently()).await
    }

    async fn recv_patiently(&mut self) -> Result<Event, ClientError> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match self.events.pop_front() {
                Some(Event::Ping(payload)) if self.auto_pong => {
                    self.send_frame(10, true, &payload).await?;
                }
                Some(event) => return Ok(event),
                None => match self.stream.read(&mut buffer).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    read => self.take(&buffer[..read])?,
                },
            }
        }
    }

    /// The next message, which must be text with JSON in it.
    ///
    /// # Errors
    /// When the connection ends, or something else comes.
    pub async fn recv_json(&mut self) -> Result<Value, ClientError> {
        match self.recv().await? {
            Event::Text(text) => Ok(serde_json::from_str(&text).map_err(io::Error::other)?),
            other => {
                Err(io::Error::other(format!("expected a text message; got {other:?}")).into())
            }
        }
    }

    /// Reads until the server closes, and returns the code and the reason; without a close frame
    /// there is none.
    pub async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            match self.recv().await {
                Ok(Event::Close(close)) => {
                    return Some(
                        close.map_or((1005, String::new()), |close| (close.code, close.reason)),
                    );
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Reads until the server has ended the connection.
    pub async fn eof(&mut self) {
        while self.recv().await.is_ok() {}
    }

    /// What is the same for all: a ready text frame, for floods.
    #[must_use]
    pub fn text_frame(text: &str) -> Bytes {
        frame::client_frame(true, Kind::Text, text.as_bytes(), KEY)
    }
}
