//! A proxy's idle timeout against the heartbeat.

use std::time::Duration;

use realtime_testkit::client::Client;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{behind_each, node::Node, recipe::Kind};

behind_each!(
    a_shorter_heartbeat_keeps_a_quiet_connection,
    what_is_quieter_is_closed
);

/// The proxy's idle timeout, in seconds.
const IDLE: u32 = 3;
/// Several times shorter, for a machine that is busy.
const HEARTBEAT: Duration = Duration::from_millis(300);
/// How long nobody says anything: twice the timeout.
const QUIET: Duration = Duration::from_secs(6);

async fn a_shorter_heartbeat_keeps_a_quiet_connection(kind: Kind) {
    let node = Node::with(|builder| builder.heartbeat(Some(HEARTBEAT))).await;
    let proxy = kind.one(node.addr).idle(IDLE).start().await;
    let mut client = Client::connect(proxy.addr).await.unwrap();
    // Answers pings, and hears nothing else.
    let heard = timeout(QUIET, client.recv()).await;
    assert!(heard.is_err(), "{heard:?}");
    client.request("echo", json!(1)).await.unwrap();
}

/// The wrong way round, as the documentation says: without a close frame, which is 1006 for a page.
/// Caddy closes nothing.
async fn what_is_quieter_is_closed(kind: Kind) {
    let mut node = Node::with(|builder| builder.heartbeat(None)).await;
    let proxy = kind.one(node.addr).idle(IDLE).start().await;
    let mut client = Client::connect(proxy.addr).await.unwrap();
    if kind == Kind::Caddy {
        sleep(QUIET).await;
        client.request("echo", json!(1)).await.unwrap();
    } else {
        assert_eq!(client.closed().await, None);
        assert_eq!(node.ended().await.code, None);
    }
}
