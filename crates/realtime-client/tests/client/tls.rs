//! `wss:`, with a certificate that is trusted, and with one that isn't; and a server that reads slowly
//! behind it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use realtime_client::{Client, State};
use realtime_testkit::wait::within;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::{MS, SECOND, patience::flood, scripted::Scripted, server::Server};

/// What speaks TLS in front of a server.
struct Front {
    port: u16,
    pem: String,
    task: JoinHandle<()>,
}

impl Front {
    /// One that reads no more than 32 KiB from a client in each of these times.
    async fn of(behind: SocketAddr, pace: Duration) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let (mut from_client, mut to_client) = tokio::io::split(stream);
                    let mut server = TcpStream::connect(behind).await.unwrap();
                    let (mut from_server, mut to_server) = server.split();
                    let there = async {
                        let mut some = vec![0; 32 * 1024];
                        while let Ok(read @ 1..) = from_client.read(&mut some).await
                            && to_server.write_all(&some[..read]).await.is_ok()
                        {
                            sleep(pace).await;
                        }
                    };
                    tokio::select! {
                        () = there => {}
                        _ended = copy(&mut from_server, &mut to_client) => {}
                    }
                });
            }
        });
        let pem = made.cert.pem();
        Self { port, pem, task }
    }

    fn url(&self) -> String {
        format!("wss://localhost:{}/ws", self.port)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn it_speaks_tls_with_whom_it_trusts() {
    let server = Server::plain().await;
    let front = Front::of(server.addr, Duration::ZERO).await;
    let builder = || Client::builder(front.url());
    let client = builder().root_certificates(&front.pem).connect().unwrap();
    let big = "x".repeat(300_000);
    let answer: String = within("an answer", client.ask("echo", &big)).await.unwrap();
    assert_eq!(answer, big);
    let client = builder().max_attempts(1).connect().unwrap();
    let end = within("the end", client.ended()).await;
    assert!(end.reason.contains("can't be opened"), "{end}");
    assert!(matches!(&*client.state().borrow(), State::Ended(_)));
    drop(front);
    server.stop().await;
}

/// As `patience::a_server_that_reads_very_slowly_is_not_left`: what counts is what the socket below TLS
/// has taken.
#[tokio::test]
async fn a_server_that_reads_very_slowly_is_not_left() {
    let server = Scripted::start().await;
    let front = Front::of((Ipv4Addr::LOCALHOST, server.port()).into(), 250 * MS).await;
    let client = Client::builder(front.url())
        .root_certificates(&front.pem)
        .write_timeout(2 * SECOND)
        .ping(None, SECOND)
        .connect()
        .unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    within("a connection", client.online()).await.unwrap();
    let flood = flood(&client);
    let mut state = client.state();
    state.mark_unchanged();
    let begun = Instant::now();
    while begun.elapsed() < 7 * SECOND {
        peer.read_some(32 * 1024).await;
        let changed = timeout(MS, state.changed()).await;
        assert!(changed.is_err(), "{state:?}");
    }
    flood.abort();
}
