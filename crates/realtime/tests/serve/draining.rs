//! From the signal to the end of the drain.

use realtime_testkit::{
    client::{Client, Request, raw_http},
    wait::until,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Hold, Server, ended};

const PAGE: &[u8] = b"GET /page HTTP/1.1\r\nHost: gateway.test\r\n\r\n";

/// A connection that a balancer keeps for its next requests.
struct Kept(TcpStream);

impl Kept {
    async fn connect(server: &Server) -> Self {
        let mut kept = Self(TcpStream::connect(server.addr).await.unwrap());
        kept.asks().await;
        kept
    }

    async fn asks(&mut self) {
        self.0.write_all(PAGE).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\npage") {
            assert_ne!(self.0.read_buf(&mut answer).await.unwrap(), 0);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn while_a_session_is_held_upgrades_get_503_and_pages_are_served() {
    let hold = Hold::new();
    let server = Server::start(hold.gateway()).await;
    let mut client = Client::connect(server.addr).await.unwrap();
    until("it is open", async || server.gateway.stats().open == 1).await;
    let mut kept = Kept::connect(&server).await;
    server.signal.send(()).unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1001);
    for _ in 0..3 {
        let refused = Request::new("/ws").refused(server.addr).await;
        assert_eq!(refused.status, 503);
        let after: u32 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!(after > 0);
        assert_eq!(raw_http(server.addr, PAGE).await.unwrap().status, 200);
        kept.asks().await;
    }
    assert!(!server.task.is_finished(), "the session is held");
    hold.release();
    ended(server.task).await.unwrap();
    assert_eq!(kept.0.read(&mut [0]).await.unwrap(), 0, "it is closed");
    let gone = TcpStream::connect(server.addr).await.unwrap_err();
    assert_eq!(gone.kind(), std::io::ErrorKind::ConnectionRefused);
}
