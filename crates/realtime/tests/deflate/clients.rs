//! The client of this project, and those who look at what a client is sent.

use futures::StreamExt;
use realtime::Json;
use realtime_client::Client;
use realtime_testkit::wait::within;

use crate::{builder, long, start};

#[tokio::test]
async fn our_own_client_and_the_gateway_understand_each_other() {
    let server = start(builder()).await;
    let url = format!("ws://{}/ws?ann", server.addr);
    let client = Client::builder(&url).compression().connect().unwrap();
    let mut messages = client.messages();
    let echoed: String = client
        .request("echo", realtime_client::Json(long()))
        .await
        .unwrap()
        .decode()
        .unwrap();
    assert_eq!(echoed, long());
    assert_eq!(server.gateway.stats().compressed, 1);
    server
        .gateway
        .broadcast("news", Json(long()))
        .await
        .unwrap();
    let heard = within("the message", messages.next()).await.unwrap();
    let heard = heard.into_message().unwrap();
    assert_eq!(heard.decode::<String>().unwrap(), long());
    assert_eq!(server.gateway.stats().compressed, 2);
    client.close().await;
    server.stop().await;
}

#[cfg(feature = "admin")]
#[tokio::test]
async fn who_looks_sees_what_it_says_and_not_how_it_is_sent() {
    use realtime::{IdentityKey, inspect::TapLimits};

    use crate::{OFFER, peer::Peer, prose};

    let server = start(builder()).await;
    let mut peer = Peer::connect(server.addr, "ann", Some(OFFER)).await;
    server.until_open(1).await;
    let mut tap = server
        .gateway
        .tap(&IdentityKey::new("ann"), TapLimits::default())
        .unwrap();
    let text = long();
    assert!(peer.ask("echo", text.into()).await.is_compressed);
    let _said = within("what was said", tap.next()).await.unwrap();
    let sent = within("what was sent", tap.next()).await.unwrap();
    assert_eq!(sent.route.as_deref(), Some("echo"));
    let shown = sent.data.unwrap();
    assert!(shown.starts_with("\"so much ado so much"), "{shown}");

    // Of what is very long only the beginning is there, of which nothing can be read.
    let session = &server.gateway.local_sessions()[0];
    session.send("prose", Json(prose(100_000))).unwrap();
    assert!(peer.frame().await.is_compressed);
    let sent = within("what was sent", tap.next()).await.unwrap();
    assert_eq!((sent.route, sent.data), (None, None));
    assert!(sent.bytes > 16 * 1024, "{}", sent.bytes);
    drop(peer);
    server.stop().await;
}
