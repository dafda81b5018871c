//! `wss:`, with a certificate that is trusted, and with one that isn't.

use std::sync::Arc;

use realtime_client::{Client, State};
use realtime_testkit::wait::within;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::server::Server;

#[tokio::test]
async fn it_speaks_tls_with_whom_it_trusts() {
    let server = Server::plain().await;
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
    let behind = server.addr;
    let proxy = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut server = TcpStream::connect(behind).await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    let builder = || Client::builder(format!("wss://localhost:{port}/ws"));
    let client = builder()
        .root_certificates(made.cert.pem())
        .connect()
        .unwrap();
    let big = "x".repeat(300_000);
    let answer: String = within("an answer", client.ask("echo", &big)).await.unwrap();
    assert_eq!(answer, big);
    let client = builder().max_attempts(1).connect().unwrap();
    let end = within("the end", client.ended()).await;
    assert!(end.reason.contains("can't be opened"), "{end}");
    assert!(matches!(&*client.state().borrow(), State::Ended(_)));
    proxy.abort();
    server.stop().await;
}
