//! Over TLS it says which protocol is spoken, and ends in good order.
#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{fs, path::Path, process::Command, sync::Arc};

use realtime_testkit::{
    client::Request,
    servers::{Process, Signal},
};
use realtime_websocket::Event;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

/// What a client that speaks more than we do would offer.
const OFFERS: [&[&[u8]]; 3] = [&[b"h2", b"http/1.1"], &[b"http/1.1"], &[]];

#[tokio::test]
async fn http_1_is_chosen_and_sigterm_ends_it_in_good_order() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let made = rcgen::generate_simple_self_signed(["gateway.test".to_owned()]).unwrap();
    let (cert, key) = (dir.join("raw-echo-cert.pem"), dir.join("raw-echo-key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_raw-echo"));
    command.args(["--listen", "127.0.0.1:0", "--tls-cert"]);
    command.arg(cert).arg("--tls-key").arg(key);
    let mut server = Process::spawn(&mut command, dir.join("raw-echo.log")).unwrap();
    let address = server.listening().await.unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut clients = Vec::new();
    for offer in OFFERS {
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = offer.iter().map(|name| name.to_vec()).collect();
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("gateway.test").unwrap();
        let tls = TlsConnector::from(Arc::new(config));
        let tls = tls.connect(name, tcp).await.unwrap();
        let chosen = tls.get_ref().1.alpn_protocol();
        let expected = (!offer.is_empty()).then_some(&b"http/1.1"[..]);
        assert_eq!(chosen, expected, "{offer:?}");
        let mut client = Request::new("/").over(tls).await.unwrap();
        client.send_text("hi").await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Event::Text("hi".into()));
        clients.push(client);
    }
    server.signal(Signal::Terminate).unwrap();
    for mut client in clients {
        assert_eq!(client.closed().await.unwrap().0, 1001);
    }
    assert_eq!(server.ended().await.unwrap().code(), Some(0));
}
