//! A proxy's idle timeout against the heartbeat.

use std::time::{Duration, Instant};

use realtime_testkit::client::Client;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{sleep, timeout},
};

use crate::{behind_each, node::Node, recipe::Kind, site::Site};

behind_each!(
    a_shorter_heartbeat_keeps_a_quiet_connection,
    a_shorter_heartbeat_keeps_it_before_two_nodes,
    what_is_quieter_is_closed,
);

/// The idle timeout of a proxy that is to close nothing, in seconds: so much longer than the
/// heartbeat that no machine is as busy.
const LONG: u32 = 10;
const HEARTBEAT: Duration = Duration::from_millis(300);
/// That of a proxy that is to close something, in seconds.
const SHORT: u32 = 3;
/// How long nobody says anything, beyond a proxy's timeout.
const MORE: Duration = Duration::from_secs(2);

/// Answers pings, and hears nothing else.
async fn stays<S: AsyncRead + AsyncWrite + Unpin>(mut client: Client<S>) {
    let quiet = Duration::from_secs(LONG.into()) + MORE;
    let start = Instant::now();
    while start.elapsed() < quiet {
        let heard = timeout(MORE, client.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    }
    client.request("echo", json!(1)).await.unwrap();
}

async fn beating() -> Node {
    Node::with(|builder| builder.heartbeat(Some(HEARTBEAT))).await
}

async fn a_shorter_heartbeat_keeps_a_quiet_connection(kind: Kind) {
    let node = beating().await;
    let proxy = kind.one(node.addr).idle(LONG).start().await;
    stays(Client::connect(proxy.address()).await.unwrap()).await;
}

async fn a_shorter_heartbeat_keeps_it_before_two_nodes(kind: Kind) {
    let nodes = [beating().await, beating().await];
    let recipe = kind.two([nodes[0].addr, nodes[1].addr]);
    let site = Site::start(recipe.idle(LONG)).await;
    stays(site.connect().await.unwrap()).await;
}

/// The wrong way round, as the documentation says: without a close frame, which is 1006 for a page.
/// Caddy closes nothing.
async fn what_is_quieter_is_closed(kind: Kind) {
    let mut node = Node::with(|builder| builder.heartbeat(None)).await;
    let proxy = kind.one(node.addr).idle(SHORT).start().await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    if kind == Kind::Caddy {
        sleep(Duration::from_secs(SHORT.into()) + MORE).await;
        client.request("echo", json!(1)).await.unwrap();
    } else {
        assert_eq!(client.closed().await, None);
        assert_eq!(node.ended().await.code, None);
    }
}
