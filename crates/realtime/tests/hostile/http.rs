//! Requests by the byte, proper and not, and whatever is answered.

use std::net::SocketAddr;

use realtime_testkit::wait::within;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::log::SECRET;

pub const LINES: [&str; 5] = [
    "Host: gateway.test",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

pub fn head(first: &str, lines: &[&str]) -> Vec<u8> {
    [&[first], lines, &["", ""]].concat().join("\r\n").into()
}

pub fn start() -> String {
    format!("GET /ws?token={SECRET} HTTP/1.1")
}

/// A proper request with more lines.
pub fn with(lines: &[&str]) -> Vec<u8> {
    head(&start(), &[&LINES, lines].concat())
}

/// A proper request with these lines in place of those of the same name; `""` is none.
pub fn replaced(name: &str, by: &[&str]) -> Vec<u8> {
    let mut lines = LINES.to_vec();
    lines.retain(|line| !line.starts_with(&format!("{name}:")));
    head(&start(), &[&lines, by].concat())
}

/// Sends bytes over a connection of its own, and returns what is answered until the server
/// closes, or until nothing of an answer that keeps the connection is missing.
pub async fn exchange(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    talk(addr, bytes, is_whole).await
}

/// Sends bytes over a connection of its own, and returns everything that is answered until the
/// server closes.
pub async fn until_closed(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    talk(addr, bytes, |_| false).await
}

async fn talk(addr: SocketAddr, bytes: &[u8], enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let mut answer = Vec::new();
    let writing = async {
        // It fails when the server has seen enough and closed.
        let _closed = write.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let reading = async {
        while let Ok(1..) = read.read_buf(&mut answer).await {
            if enough(&answer) {
                break;
            }
        }
    };
    within("an answer, or the end", async {
        tokio::select! { () = reading => {}, () = writing => {} }
    })
    .await;
    answer
}

/// Whether an answer leaves the connection open and has come completely.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    if head.contains("connection: close") {
        return false;
    }
    let length = head.split_once("content-length: ");
    let length = length.and_then(|(_, rest)| rest.lines().next()?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// The statuses of all responses that were answered, in order.
pub fn statuses(answer: &[u8]) -> Vec<u16> {
    String::from_utf8_lossy(answer)
        .split("HTTP/1.")
        .skip(1)
        .filter_map(|response| response.get(2..5)?.parse().ok())
        .collect()
}
