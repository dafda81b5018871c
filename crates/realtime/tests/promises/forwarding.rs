//! A handler that forwards what is ready, as much as there is: a client that reads gets all of it,
//! whatever stream it is on.

use realtime::{Gateway, Json, Router, Session};
use realtime_websocket::Event;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::coop::consume_budget};

use crate::host::{ALL, AnyClient, ByName, Host};

/// More than wait for a session at the most, and more than tokio lets a task do in one turn.
const ITEMS: u64 = 400;

/// They are all ready, and each is one of the things that a task may do only so many of in a turn.
fn items() -> mpsc::Receiver<u64> {
    let (sender, items) = mpsc::channel(ITEMS as usize);
    (0..ITEMS).for_each(|n| sender.try_send(n).unwrap());
    items
}

fn router() -> Router {
    Router::new()
        .route("send", async |session: Session| {
            let mut items = items();
            while let Some(n) = items.recv().await {
                session.send("item", Json(&n))?;
            }
            Ok::<_, realtime::error::SendError>(())
        })
        .route("send-wait", async |session: Session| {
            let mut items = items();
            while let Some(n) = items.recv().await {
                session.send_wait("item", Json(&n)).await?;
            }
            Ok::<_, realtime::error::SendError>(())
        })
        .route("broadcast", async |gateway: Gateway| {
            let mut items = items();
            while let Some(n) = items.recv().await {
                gateway.broadcast("item", Json(&n)).await?;
            }
            Ok::<_, realtime::error::DeliverError>(())
        })
        .route("targeted", async |gateway: Gateway, session: Session| {
            let (mut items, key) = (items(), session.identity_key());
            while let Some(n) = items.recv().await {
                gateway.send_to_identity(key, "item", Json(&n)).await?;
            }
            Ok::<_, realtime::error::DeliverError>(())
        })
        .route("item", async |Json(n): Json<u64>| {
            // More than a turn's.
            for _ in 0..200 {
                consume_budget().await;
            }
            Json(n)
        })
}

/// The next item, or the code that the session was closed with.
async fn next(client: &mut AnyClient) -> Result<u64, u16> {
    match client.recv().await.expect("a message or a close frame") {
        Event::Text(text) => {
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(message["route"], "item", "{message}");
            Ok(message["data"].as_u64().unwrap())
        }
        Event::Close(close) => Err(close.map_or(1005, |close| close.code)),
        other => panic!("unexpected {other:?}"),
    }
}

async fn all_arrive(route: &str) {
    for kind in ALL {
        let builder = realtime::builder().router(router()).authenticator(ByName);
        let host = Host::start(kind, builder.build().unwrap()).await;
        let (mut client, _) = host.connect("reader").await;
        client.send(route, Value::Null).await.unwrap();
        for n in 0..ITEMS {
            assert_eq!(next(&mut client).await, Ok(n), "{route} {kind:?}");
        }
        let stats = host.gateway.stats();
        assert_eq!((stats.slow_consumers, stats.dropped), (0, 0));
        host.gateway.shutdown().await;
    }
}

#[tokio::test]
async fn by_send() {
    all_arrive("send").await;
}

#[tokio::test]
async fn by_send_wait() {
    all_arrive("send-wait").await;
}

#[tokio::test]
async fn by_broadcast() {
    all_arrive("broadcast").await;
}

#[tokio::test]
async fn by_messages_to_its_identity() {
    all_arrive("targeted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_send_in_a_runtime_with_several_threads() {
    all_arrive("send").await;
}

#[tokio::test]
async fn by_replies_to_what_the_client_asks_at_once() {
    for kind in ALL {
        let builder = realtime::builder().router(router()).authenticator(ByName);
        let host = Host::start(kind, builder.build().unwrap()).await;
        let (mut client, _) = host.connect("reader").await;
        let requests = (0..ITEMS).map(|n| {
            let request = json!({"id": n.to_string(), "route": "item", "data": n});
            AnyClient::text_frame(&request.to_string())
        });
        let requests = requests.collect::<Vec<_>>().concat();
        client.send_raw(&requests).await.unwrap();
        for n in 0..ITEMS {
            assert_eq!(next(&mut client).await, Ok(n), "{kind:?}");
        }
        host.gateway.shutdown().await;
    }
}

/// Somebody else than the session's own handler.
#[tokio::test]
async fn by_a_task_of_its_own() {
    for kind in ALL {
        let gateway = realtime::builder().authenticator(ByName).build().unwrap();
        let host = Host::start(kind, gateway).await;
        let (mut client, _) = host.connect("reader").await;
        let session = host.session("reader").await;
        let forwards = tokio::spawn(async move {
            let mut items = items();
            while let Some(n) = items.recv().await {
                session.send("item", Json(&n)).unwrap();
            }
        });
        for n in 0..ITEMS {
            assert_eq!(next(&mut client).await, Ok(n), "{kind:?}");
        }
        forwards.await.unwrap();
        host.gateway.shutdown().await;
    }
}
