//! The same gateway under `axum::serve`, bare hyper-util and TLS, and behind a login of the host.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router as App,
    extract::{Request as AxumRequest, State as AppState},
    middleware::{Next, from_fn},
    response::IntoResponse,
    routing::get,
};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use realtime::{
    Gateway, Identity, Json, Router, Session, Upgrade, auth::FromExtension, service::PeerAddr,
};
use realtime_testkit::client::{Client, Request};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{PrivateKeyDer, ServerName},
    },
};
use tower::Service;

fn echo() -> Router {
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("who", async |session: Session| {
            Json(json!([session.identity_key().id(), session.remote_addr()]))
        })
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// What every host must do, with a message that takes several reads and writes.
async fn talks<S: AsyncRead + AsyncWrite + Unpin>(mut client: Client<S>) {
    let large = "x".repeat(300_000);
    for data in [json!(1), json!(large), json!({"a": null})] {
        assert_eq!(
            client.request("echo", data.clone()).await.unwrap()["data"],
            data
        );
    }
    client.close(1000, "done").await.unwrap();
    assert_eq!(client.closed().await, Some((1000, "done".into())));
}

#[tokio::test]
async fn under_axum_serve() {
    let (listener, addr) = listen().await;
    let gateway = realtime::builder().router(echo()).build().unwrap();
    let app = App::new().route_service("/ws", gateway.clone());
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let host = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = Client::connect(addr).await.unwrap();
    let ours = client.stream.local_addr().unwrap();
    let who = client.request("who", Value::Null).await.unwrap();
    assert_eq!(
        who["data"],
        json!(["anonymous", ours]),
        "the address comes from ConnectInfo"
    );
    talks(client).await;
    gateway.shutdown().await;
    host.abort();
}

#[tokio::test]
async fn under_bare_hyper() {
    let (listener, addr) = listen().await;
    let gateway = realtime::builder().router(echo()).build().unwrap();
    let host = tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let gateway = gateway.clone();
            let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(PeerAddr(peer));
                gateway.clone().call(request)
            });
            let http = hyper::server::conn::http1::Builder::new();
            let connection = http.serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    let mut client = Client::connect(addr).await.unwrap();
    let ours = client.stream.local_addr().unwrap();
    assert_eq!(
        client.request("who", Value::Null).await.unwrap()["data"][1],
        json!(ours)
    );
    talks(client).await;
    host.abort();
}

#[tokio::test]
async fn under_tls() {
    let made = rcgen::generate_simple_self_signed(["gateway.test".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let (listener, addr) = listen().await;
    let gateway = realtime::builder().router(echo()).build().unwrap();
    let app = App::new().route_service("/ws", gateway.clone());
    let server = realtime::serve(listener, app, gateway).secure(move |tcp| acceptor.accept(tcp));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let host = tokio::spawn(server.with_graceful_shutdown(stopped).into_future());

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("gateway.test").unwrap();
    let tcp = TcpStream::connect(addr).await.unwrap();
    let tls = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .unwrap();
    talks(Request::new("/ws").over(tls).await.unwrap()).await;
    drop(stop);
    host.await.unwrap().unwrap();
}

/// A login that puts the identity into the request's extensions.
async fn login(mut request: AxumRequest, next: Next) -> impl IntoResponse {
    if let Some(user) = request.uri().query().map(str::to_owned) {
        request.extensions_mut().insert(Identity::new(user));
    }
    next.run(request).await
}

#[tokio::test]
async fn behind_a_login_of_the_host() {
    let (listener, addr) = listen().await;
    let gateway = realtime::builder()
        .router(echo())
        .authenticator(FromExtension)
        .build()
        .unwrap();
    let app = App::new()
        .route_service("/ws", gateway.clone())
        .layer(from_fn(login));
    let host = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = Request::new("/ws?ada").connect(addr).await.unwrap();
    assert_eq!(
        client.request("who", Value::Null).await.unwrap()["data"][0],
        "ada"
    );
    assert_eq!(Request::new("/ws").refused(addr).await.status, 401);
    host.abort();
}

async fn accept(upgrade: Upgrade, AppState(gateway): AppState<Gateway>) -> impl IntoResponse {
    let user = upgrade.request().uri.query().unwrap_or("nobody").to_owned();
    gateway.accept(upgrade, Identity::new(user))
}

#[tokio::test]
async fn in_the_hands_of_an_axum_handler_every_other_check_is_still_made() {
    let (listener, addr) = listen().await;
    let builder = realtime::builder().router(echo()).max_connections(Some(2));
    let gateway = builder.build().unwrap();
    let app = App::new()
        .route("/ws", get(accept))
        .with_state(gateway.clone());
    let host = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = Request::new("/ws?ada").connect(addr).await.unwrap();
    assert_eq!(
        client.request("who", Value::Null).await.unwrap()["data"][0],
        "ada"
    );
    let good = || Request::new("/ws?ada");
    let without = |name: &str| good().without(name);
    let with = |name: &str, value: &str| without(name).header(name, value);
    let rows = [
        (without("Upgrade"), 426),
        (without("Connection"), 426),
        (without("Sec-WebSocket-Version"), 426),
        (with("Sec-WebSocket-Version", "8"), 426),
        (without("Sec-WebSocket-Key"), 400),
        (with("Sec-WebSocket-Key", "short"), 400),
        (good().header("Sec-WebSocket-Key", "twice"), 400),
        (with("Host", "a b"), 400),
        (good().header("Host", "twice"), 400),
        (good().header("Content-Length", "0001"), 400),
        (good().header("Origin", "https://evil.example"), 403),
        (Request::new(format!("/ws?{}", "x".repeat(2_000))), 401),
    ];
    for (request, status) in rows {
        assert_eq!(request.refused(addr).await.status, status, "{request:?}");
    }
    let second = good().connect(addr).await.unwrap();
    assert_eq!(
        good().refused(addr).await.status,
        503,
        "both places are taken"
    );
    drop(second);
    gateway.shutdown().await;
    assert_eq!(good().refused(addr).await.status, 503);
    host.abort();
}
