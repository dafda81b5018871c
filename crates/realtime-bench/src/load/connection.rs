//! One client.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use mio::{Interest, Registry, Token, net::TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    dialect::{Answer, Dialect},
    scan::{Other, Scanner},
    wire::{Wire, Wiring},
};

/// The longest head of a response.
const HEAD: usize = 16 * 1024;

/// How far a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The upgrade isn't answered.
    Upgrading,
    /// The dialect asks for more.
    Joining,
    /// It may send.
    Open,
}

/// One client of the server that is measured.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Wire,
    pub(crate) started: Instant,
    pub(crate) stage: Stage,
    dialect: Dialect,
    scanner: Scanner,
    /// The head of the response so far.
    head: Vec<u8>,
    /// What the socket didn't take yet.
    unsent: Vec<u8>,
}

impl Connection {
    /// A socket that is about to connect from a source address. A stalled reader takes as little as
    /// it can.
    pub(crate) fn socket(to: SocketAddr, from: IpAddr, stalled: bool) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if stalled {
            socket.set_recv_buffer_size(4096)?;
            // With loopback's segments of 64 KiB the server's kernel would buffer megabytes.
            socket.set_tcp_mss(536)?;
        }
        socket.bind(&SocketAddr::new(from, 0).into())?;
        Ok(socket)
    }

    /// Begins to connect.
    pub(crate) fn start(
        socket: Socket,
        to: SocketAddr,
        (dialect, index): (Dialect, usize),
        wiring: &Wiring,
        registry: &Registry,
    ) -> io::Result<Self> {
        let started = Instant::now();
        match socket.connect(&to.into()) {
            Err(e)
                if e.kind() != ErrorKind::WouldBlock && e.raw_os_error() != Some(IN_PROGRESS) =>
            {
                return Err(e);
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(index), interest)?;
        let path = dialect.path(index);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        Ok(Self {
            wire: wiring.over(stream)?,
            started,
            stage: Stage::Upgrading,
            dialect,
            scanner: Scanner::default(),
            head: Vec::new(),
            unsent: request.into_bytes(),
        })
    }

    /// Writes what the socket takes and keeps the rest.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        if self.unsent.is_empty() {
            written = some(self.wire.write(bytes))?;
        }
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    /// Writes what was kept.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match some(self.wire.write(&self.unsent))? {
                0 => return Ok(()),
                written => drop(self.unsent.drain(..written)),
            }
        }
        self.unsent = Vec::new();
        some(self.wire.flush().map(|()| 0)).map(drop)
    }

    /// Reads all that is there; how many messages of `expected` bytes it was. `None` once the
    /// server has ended the connection.
    pub(crate) fn read(&mut self, block: &mut [u8], expected: u64) -> io::Result<Option<u64>> {
        let mut count = 0;
        loop {
            let got = match self.wire.read(block) {
                Ok(0) => return Ok(None),
                Ok(got) => got,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    // Over TLS a read may be what lets something be sent.
                    self.flush()?;
                    return Ok(Some(count));
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(e) => return Err(e),
            };
            match self.take(&block[..got], expected)? {
                Some(more) => count += more,
                None => return Ok(None),
            }
            // A short read has emptied the socket; the next byte is a new event.
            if got < block.len() && self.wire.is_emptied_by_short_reads() {
                return Ok(Some(count));
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8], expected: u64) -> io::Result<Option<u64>> {
        if self.stage == Stage::Upgrading {
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
                return match self.head.len() {
                    0..HEAD => Ok(Some(0)),
                    _ => Err(io::Error::other("the response's head has no end")),
                };
            };
            if !self.head.starts_with(b"HTTP/1.1 101") {
                let line: String = self.head.iter().map(|b| char::from(*b)).take(40).collect();
                return Err(io::Error::other(format!("expected a 101; got {line:?}")));
            }
            bytes = &bytes[end + 4 - before..];
            self.head = Vec::new();
            self.stage = if self.dialect.joins_by_upgrade() {
                Stage::Open
            } else {
                Stage::Joining
            };
        }
        let mut others = Vec::new();
        let count = self
            .scanner
            .scan(bytes, expected, |other| others.push(other))?;
        for other in others {
            if !self.react(&other)? {
                return Ok(None);
            }
        }
        Ok(Some(count))
    }

    /// Whether the connection goes on.
    fn react(&mut self, Other { opcode, payload }: &Other) -> io::Result<bool> {
        if *opcode == 8 {
            return Ok(false);
        }
        match self.dialect.answer(*opcode, payload) {
            Answer::None => {}
            Answer::Send(frame) => self.send(&frame)?,
            Answer::Joined => self.stage = Stage::Open,
            Answer::Wrong => {
                let text = String::from_utf8_lossy(&payload[..payload.len().min(80)]).into_owned();
                let got = format!("expected another message; got opcode {opcode}, {text:?}");
                return Err(io::Error::other(got));
            }
        }
        Ok(true)
    }
}

/// `EINPROGRESS` on Linux, for which `ErrorKind` has no stable name.
const IN_PROGRESS: i32 = 115;

/// How much was written; nothing where the socket is full or not connected yet.
fn some(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(0),
        other => other,
    }
}
