//! Requests over HTTP/2 are upgrades as any others.

use axum::{body::Body, http::Request};

use super::{
    Server, Trace, builder,
    collector::{self, Seen, the},
    continuing,
    wire::Wire,
};

#[tokio::test]
async fn an_upgrade_over_http2_is_one() {
    collector::start();
    let gateway = builder(continuing()).build().unwrap();
    let server = Server::with(gateway, |serve| serve.http2()).await;
    let mut wire = Wire::plain(server.addr).await;
    let (opened, odd) = (Trace::new(), Trace::new());
    let mut request = wire.request("/ws?secret");
    let said = opened.said("01").parse().unwrap();
    request.headers_mut().insert("traceparent", said);
    let _socket = wire.ask(request).await.unwrap();
    let request = Request::builder()
        .method("BREW")
        .uri("http://gateway.test/ws?secret")
        .header("traceparent", odd.said("01"));
    wire.send(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    for (trace, fields) in [
        (
            opened,
            [
                ("http.request.method", Some("CONNECT")),
                ("http.request.method_original", None),
                ("http.response.status_code", Some("200")),
                ("realtime.refusal", None),
            ],
        ),
        (
            odd,
            [
                ("http.request.method", Some("_OTHER")),
                ("http.request.method_original", Some("BREW")),
                ("http.response.status_code", Some("400")),
                ("realtime.refusal", Some("http_version")),
            ],
        ),
    ] {
        let is = |seen: &Seen| seen.trace == trace.id && seen.name == "upgrade";
        let span = the("it is traced", is).await;
        for (field, value) in fields.into_iter().chain([
            ("network.protocol.version", Some("2")),
            ("url.path", Some("/ws")),
            ("url.scheme", Some("http")),
        ]) {
            assert_eq!(span.field(field), value, "{field}");
        }
        assert!(!format!("{span:?}").contains("secret"), "{span:?}");
    }
    server.stop().await;
}
