//! The gateway as a service: the peer leaves, or the host drops the call.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum::{
    extract::Request as HttpRequest, http::StatusCode, response::IntoResponse, routing::any,
};
use futures::FutureExt;
use realtime::{Gateway, Json, Router};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpListener, net::TcpStream};
use tower::Service;

use crate::{
    drops::{dropped_after, tasks, until_tasks},
    slow::{PAUSES, SlowAuthenticator},
    support::Server,
};

/// There is one place in all, so that a second connection is refused while the first holds it.
fn narrow_gateway(authenticator: &SlowAuthenticator) -> Gateway {
    crate::support::builder()
        .router(Router::new().route("echo", async |Json(data): Json<Value>| Json(data)))
        .authenticator(authenticator.clone())
        .auth_timeout(None)
        .max_connections(Some(1))
        .max_authenticating(1)
        .build()
        .unwrap()
}

async fn its_place_is_free(gateway: &Gateway, addr: std::net::SocketAddr) {
    let connected = async || match Client::connect(addr).await {
        Ok(mut client) => {
            assert_eq!(
                client.request("echo", json!(1)).await.unwrap()["data"],
                json!(1)
            );
            true
        }
        Err(_) => false,
    };
    until("its place is free again", connected).await;
    until("the session that took it has ended", async || {
        gateway.stats().open == 0
    })
    .await;
}

#[tokio::test]
async fn dropped_anywhere_a_call_gives_its_place_back() {
    let before = tasks();
    let authenticator = SlowAuthenticator::default();
    let gateway = narrow_gateway(&authenticator);
    let points = Arc::new(AtomicUsize::new(0));
    // A host that drops the call, or else its answer, and refuses by itself.
    let (dropping, after) = (gateway.clone(), Arc::clone(&points));
    let drops = any(move |request: HttpRequest| {
        let call = dropping.clone().call(request);
        let after = after.load(SeqCst);
        async move {
            let answer = dropped_after(after, call).await;
            let refusal = match answer {
                Some(answer) => {
                    let status = answer.into_response().status();
                    assert_eq!(status, StatusCode::SWITCHING_PROTOCOLS);
                    StatusCode::IM_A_TEAPOT
                }
                None => StatusCode::INTERNAL_SERVER_ERROR,
            };
            refusal.into_response()
        }
    });
    let app = axum::Router::new()
        .route("/dropped", drops)
        .route_service("/ws", gateway.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(
        realtime::serve(listener, app, gateway.clone())
            .with_graceful_shutdown(stopped)
            .into_future(),
    );

    let mut refused = 500;
    while refused == 500 {
        refused = Request::new("/dropped").refused(addr).await.status;
        assert_eq!(authenticator.asking(), 0, "the authenticator was dropped");
        its_place_is_free(&gateway, addr).await;
        points.fetch_add(1, SeqCst);
    }
    assert_eq!(refused, 418, "in the end it is answered");
    assert_eq!(points.load(SeqCst), PAUSES + 2);
    // A host can't take back an answer: hyper hands the connection over once it is done with it.
    // What the gateway made of that has ended, too.
    let (stats, others) = (gateway.stats(), points.load(SeqCst) as u64);
    assert_eq!(stats.upgrades_failed + stats.opened - others, 1);
    drop(stop);
    served.await.unwrap().unwrap();
    assert_eq!(gateway.stats().closed, gateway.stats().opened);
    drop(gateway);
    until_tasks(before).await;
}

#[tokio::test]
async fn a_peer_that_leaves_in_mid_authentication_leaves_nothing_behind() {
    let before = tasks();
    let authenticator = SlowAuthenticator::default();
    let server = Server::start(narrow_gateway(&authenticator)).await;
    for resets in [false, true] {
        let mut peer = TcpStream::connect(server.addr).await.unwrap();
        let request = "GET /ws?never HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n\
                       Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        peer.write_all(request.as_bytes()).await.unwrap();
        until("it is authenticating", async || authenticator.asking() == 1).await;
        let refused = Request::new("/ws").refused(server.addr).await;
        assert_eq!(refused.status, 503, "the only place is taken");
        if resets {
            peer.set_zero_linger().unwrap();
        }
        drop(peer);
        until("the authenticator is dropped", async || {
            authenticator.asking() == 0
        })
        .await;
        its_place_is_free(&server.gateway, server.addr).await;
    }
    let stats = server.gateway.stats();
    assert_eq!((stats.opened, stats.upgrades_failed), (2, 0));
    server.stop().await;
    until_tasks(before).await;
}

/// The gateway's part in it, without a connection around it.
#[tokio::test]
async fn a_call_that_was_never_polled_has_taken_no_place() {
    let authenticator = SlowAuthenticator::default();
    let server = Server::start(narrow_gateway(&authenticator)).await;
    let mut calls: Vec<_> = (0..3)
        .map(|_| server.gateway.clone().call(HttpRequest::new(())))
        .collect();
    its_place_is_free(&server.gateway, server.addr).await;
    assert!(
        calls.remove(0).now_or_never().is_some(),
        "it is refused at once"
    );
    drop(calls);
    server.stop().await;
}
