//! Compression, for clients that have none: what they send is compressed on its way to the server,
//! every message of one piece, and what the server compresses is plain again before it gets to them.

use std::io;

use realtime_websocket::{
    Event, Kind, Limits, Role,
    deflate::{Agreed, Compressor, InflatingDecoder, Level, Policy},
    frame,
};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, copy, split,
};

use super::{head, pump, unless_it_leaves};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const COMPRESSED: u8 = 0x40;

pub(super) async fn carry<C, S>(mut client: C, mut server: S) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = head(&mut client).await;
    let Some(offering) = offering(&request) else {
        server.write_all(&request).await?;
        return pump(client, server).await;
    };
    server.write_all(&offering).await?;
    let Some((answer, ahead)) = unless_it_leaves(&mut client, head(&mut server)).await? else {
        return Ok(());
    };
    let (answer, agreed) = agreed(&answer);
    client.write_all(&answer).await?;
    let (from_client, to_client) = split(client);
    let (from_server, mut to_server) = split(server);
    let mut from_client = io::Cursor::new(ahead).chain(from_client);
    if agreed.is_some() {
        let compressed = compress(from_client, to_server);
        tokio::try_join!(compressed, inflate(from_server, to_client, agreed))?;
        return Ok(());
    }
    let sent = async {
        copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    if answer.starts_with(b"HTTP/1.1 101") {
        // It is refused by a close frame.
        tokio::try_join!(sent, inflate(from_server, to_client, None))?;
        return Ok(());
    }
    let (mut from_server, mut to_client) = (from_server, to_client);
    let answered = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(sent, answered)?;
    Ok(())
}

/// A proper upgrade that offers nothing, with an offer.
fn offering(request: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(request).ok()?;
    let lower = text.to_ascii_lowercase();
    let is_upgrade = lower.contains("\r\nsec-websocket-key:") && lower.ends_with("\r\n\r\n");
    if !is_upgrade || lower.contains("\r\nsec-websocket-extensions:") {
        return None;
    }
    let offer = Policy::default().offer();
    let headers = text.strip_suffix("\r\n")?;
    Some(format!("{headers}sec-websocket-extensions: {offer}\r\n\r\n").into_bytes())
}

/// The answer without what was agreed on.
fn agreed(answer: &[u8]) -> (Vec<u8>, Option<Agreed>) {
    let text = String::from_utf8_lossy(answer);
    let (mut plain, mut agreed) = (String::new(), None);
    for line in text.split_inclusive("\r\n") {
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("sec-websocket-extensions") => {
                agreed = Policy::default().accept([value.trim().as_bytes()]).unwrap();
            }
            _ => plain.push_str(line),
        }
    }
    (plain.into_bytes(), agreed)
}

/// Where nothing was agreed on there are no messages: else their test would be that of another
/// transport.
async fn inflate<C, S>(
    mut server: ReadHalf<S>,
    mut client: WriteHalf<C>,
    agreed: Option<Agreed>,
) -> io::Result<()>
where
    C: AsyncWrite,
    S: AsyncRead,
{
    let limits = Limits::default().with_message(64 << 20);
    let is_agreed = agreed.is_some();
    let mut decoder = InflatingDecoder::new(Role::Client, limits, agreed).with_ratio(None);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = server.read(&mut buffer).await?;
        if read == 0 {
            return client.shutdown().await;
        }
        let (mut input, mut plain) = (&buffer[..read], Vec::new());
        while let Some(event) = decoder.decode(&mut input).map_err(io::Error::other)? {
            let is_message = matches!(event, Event::Text(_) | Event::Binary(_));
            assert!(is_agreed || !is_message, "compression is agreed on");
            plain.extend_from_slice(&match event {
                Event::Text(text) => frame::server_frame(Kind::Text, text.as_bytes()),
                Event::Binary(bytes) => frame::server_frame(Kind::Binary, &bytes),
                Event::Ping(payload) => frame::ping(&payload),
                Event::Pong(payload) => frame::pong(&payload),
                Event::Close(None) => frame::close_without_code(),
                Event::Close(Some(close)) => frame::close(close.code, &close.reason),
            });
        }
        client.write_all(&plain).await?;
    }
}

async fn compress<C, S>(mut client: C, mut server: WriteHalf<S>) -> io::Result<()>
where
    C: AsyncRead + Unpin,
    S: AsyncWrite,
{
    let mut compressor = Compressor::new(Level::Fast).with_floor(1);
    let mut buffer = vec![0; 64 * 1024];
    // What is left of a frame that goes as it is. Once it isn't known where one begins, all does.
    let mut rest = 0_u64;
    loop {
        let read = client.read(&mut buffer).await?;
        if read == 0 {
            return server.shutdown().await;
        }
        let (mut input, mut sent) = (&mut buffer[..read], Vec::new());
        while !input.is_empty() {
            if rest > 0 {
                let raw = usize::try_from(rest).map_or(input.len(), |rest| rest.min(input.len()));
                sent.extend_from_slice(&input[..raw]);
                rest -= raw as u64;
                input = &mut input[raw..];
                continue;
            }
            let Some(frame) = Frame::read(input) else {
                rest = u64::MAX;
                continue;
            };
            match frame.payload(input) {
                Some(payload) if frame.is_whole_message() => {
                    sent.extend_from_slice(&frame.compressed(payload, &mut compressor));
                    let length = frame.length as usize;
                    input = &mut input[length..];
                }
                _ => rest = frame.length,
            }
        }
        // It has closed: what it has said before is still to be heard.
        if server.write_all(&sent).await.is_err() {
            return Ok(());
        }
    }
}

/// The header of a client's frame.
struct Frame {
    first: u8,
    header: usize,
    /// With its header.
    length: u64,
}

impl Frame {
    /// `None` where it isn't all there, or has no mask.
    fn read(input: &[u8]) -> Option<Self> {
        let (first, second) = (*input.first()?, *input.get(1)?);
        let (before_key, length) = match second & 0x7f {
            126 => (
                4,
                u16::from_be_bytes(input.get(2..4)?.try_into().ok()?).into(),
            ),
            127 => (10, u64::from_be_bytes(input.get(2..10)?.try_into().ok()?)),
            short => (2, u64::from(short)),
        };
        let header = before_key + 4;
        let is_masked = second & 0x80 != 0 && input.len() >= header;
        is_masked.then(|| Self {
            first,
            header,
            length: length.saturating_add(header as u64),
        })
    }

    fn is_whole_message(&self) -> bool {
        matches!(self.first, 0x81 | 0x82) && self.length <= 0xffff
    }

    /// Unmasked, where all of it is there.
    fn payload<'i>(&self, input: &'i mut [u8]) -> Option<&'i [u8]> {
        if !self.is_whole_message() || self.length > input.len() as u64 {
            return None;
        }
        let (header, payload) = input[..self.length as usize].split_at_mut(self.header);
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte ^= header[self.header - 4 + at % 4];
        }
        Some(payload)
    }

    /// Also where it is no smaller for that: then stored, which is DEFLATE, too.
    fn compressed(&self, payload: &[u8], compressor: &mut Compressor) -> Vec<u8> {
        let kind = match self.first {
            0x81 => Kind::Text,
            _ => Kind::Binary,
        };
        let compressed = compressor.client_frame(kind, payload, KEY);
        if compressed[0] & COMPRESSED != 0 {
            return compressed.to_vec();
        }
        let length = payload.len() as u16;
        let mut stored = vec![0];
        stored.extend_from_slice(&length.to_le_bytes());
        stored.extend_from_slice(&(!length).to_le_bytes());
        stored.extend_from_slice(payload);
        stored.push(0);
        let opcode = (self.first & 0x0f) | COMPRESSED;
        frame::fragment(opcode, true, &stored, Some(KEY)).to_vec()
    }
}
