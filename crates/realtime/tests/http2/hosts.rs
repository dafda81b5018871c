//! Under which servers it works: `serve`, plain and with TLS, and `axum::serve`.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router as App, routing::any};
use realtime::{Identity, Upgrade};
use realtime_testkit::client::Client;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{PrivateKeyDer, ServerName},
    },
};

use super::{router, server, support::Server, wire::Wire};

fn gateway() -> realtime::Gateway {
    realtime::builder().router(router()).build().unwrap()
}

#[tokio::test]
async fn both_are_spoken_on_one_port() {
    let server = server(gateway()).await;
    let mut two = Wire::plain(server.addr).await.open().await;
    let mut one = Client::connect(server.addr).await.unwrap();
    assert_eq!(two.request("echo", json!(2)).await.unwrap()["data"], 2);
    assert_eq!(one.request("echo", json!(1)).await.unwrap()["data"], 1);
    server.stop().await;
}

#[tokio::test]
async fn under_axum_serve() {
    let server = Server::under_axum(gateway()).await;
    let mut wire = Wire::plain(server.addr).await;
    let (mut one, mut other) = (wire.open().await, wire.open().await);
    let large = "x".repeat(300_000);
    for client in [&mut one, &mut other] {
        let answer = client.request("echo", json!(large)).await.unwrap();
        assert_eq!(answer["data"], large);
    }
    drop((one, other, wire));
    server.stop().await;
}

/// `any` takes `CONNECT`, too.
#[tokio::test]
async fn behind_the_hosts_own_login() {
    let gateway = gateway();
    let accepting = gateway.clone();
    let ws = async move |upgrade: Upgrade| accepting.accept(upgrade, Identity::new("ann"));
    let app = App::new().route("/ws", any(ws));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr: SocketAddr = listener.local_addr().unwrap();
    let server = realtime::serve(listener, app, gateway.clone()).http2();
    let serving = tokio::spawn(server.into_future());
    let mut client = Wire::plain(addr).await.open().await;
    assert_eq!(client.request("echo", json!(1)).await.unwrap()["data"], 1);
    gateway.shutdown().await;
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn with_tls_where_it_is_agreed_upon() {
    let made = rcgen::generate_simple_self_signed(["gateway.test".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::with(gateway(), |serve| {
        serve.secure(move |tcp| acceptor.accept(tcp)).http2()
    })
    .await;

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let connect = async |protocol: &[u8]| {
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let tcp = TcpStream::connect(server.addr).await.unwrap();
        let name = ServerName::try_from("gateway.test").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, tcp).await.unwrap()
    };
    let mut wire = Wire::over("https", connect(b"h2").await).await;
    let mut two = wire.open().await;
    let over = connect(b"http/1.1").await;
    let request = realtime_testkit::client::Request::new("/ws");
    let mut one = request.over(over).await.unwrap();
    let large = "x".repeat(300_000);
    let answer = two.request("echo", json!(large)).await.unwrap();
    assert_eq!(answer["data"], large);
    assert_eq!(one.request("echo", json!(1)).await.unwrap()["data"], 1);
    drop((one, two, wire));
    server.stop().await;
}
