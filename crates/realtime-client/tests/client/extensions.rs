//! A server that chooses extensions though none was offered.

use realtime_testkit::wait::within;
use serde_json::json;

use crate::{quick, scripted::Scripted};

#[tokio::test]
async fn an_extension_that_nobody_offered_is_no_connection() {
    let server = Scripted::start().await;
    for answer in [
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Extensions: , foo;bar=1\r\n",
        "Sec-WebSocket-Extensions: \r\nSec-WebSocket-Extensions: ;\r\n",
    ] {
        let client = quick(server.port()).max_attempts(1).connect().unwrap();
        let mut peer = server.next().await;
        assert_eq!(peer.header("sec-websocket-extensions"), None);
        peer.upgrade(answer).await;
        assert_eq!(peer.event().await, None, "it goes");
        let end = within("the end", client.ended()).await;
        assert_eq!(end.reason, "it has chosen an extension that wasn't offered");
    }
    // A list of nothing is nothing.
    let client = quick(server.port()).connect().unwrap();
    let mut peer = server.next().await;
    peer.upgrade("Sec-WebSocket-Extensions: , \r\n").await;
    peer.send(json!({ "route": "hello" })).await;
    within("a connection", client.online()).await.unwrap();
}
