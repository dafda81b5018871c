//! A client that speaks frames of HTTP/2 by itself, for what a proper one doesn't do.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;

pub(crate) struct Raw(TcpStream);

/// What a frame is of: its kind, its stream, and what is in it.
pub(crate) type Frame = (u8, u32, Vec<u8>);

impl Raw {
    /// With these settings, and without an answer to those of the server.
    pub(crate) async fn connect(server: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut tcp = TcpStream::connect(server).await.unwrap();
        tcp.write_all(PREFACE).await.unwrap();
        let mut this = Self(tcp);
        let said: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        this.send(SETTINGS, 0, 0, &said).await;
        this
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// A request, whose head ends with this frame.
    pub(crate) async fn request(&mut self, stream: u32, headers: &[(&str, &str)]) {
        let mut block = Vec::new();
        for (name, value) in headers {
            // Literal, and not to be remembered.
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).unwrap());
                block.extend(text.bytes());
            }
        }
        self.send(HEADERS, 4, stream, &block).await;
    }

    pub(crate) async fn open(&mut self, stream: u32, more: &[(&str, &str)]) {
        let own = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":path", "/ws"),
            (":authority", "gateway.test"),
            ("sec-websocket-version", "13"),
        ];
        self.request(stream, &[&own[..], more].concat()).await;
    }

    /// `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], stream, payload))
    }

    /// The next frame of this kind.
    pub(crate) async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.0 == kind {
                return Some(frame);
            }
        }
    }
}
