//! Sessions are closed one after the other, and the others go on.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use realtime::{DisconnectInfo, Initiator};
use realtime_testkit::{
    client::{Client, Request},
    wait::{until, within},
};
use serde_json::json;

use crate::{slot, with_clients};

const COUNT: usize = 40;
const OVER: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn each_is_closed_in_its_turn_and_told_when_to_come_back() {
    let ends = Arc::new(Mutex::new(Vec::<DisconnectInfo>::new()));
    let kept = Arc::clone(&ends);
    let gateway = crate::support::builder()
        .on_disconnect(move |info: DisconnectInfo| {
            kept.lock().unwrap().push(info);
            async {}
        })
        .build()
        .unwrap();
    let (server, mut clients) = with_clients(gateway, COUNT).await;
    let begun = SystemTime::now();
    let report = server.gateway.drain(OVER).await;
    assert_eq!((report.sessions, report.aborted), (COUNT, 0));
    let mut ends = std::mem::take(&mut *ends.lock().unwrap());
    assert_eq!(ends.len(), COUNT);
    ends.sort_by_key(|end| end.at);
    for (nth, end) in ends.iter().enumerate() {
        // Not before its time, by a clock of another kind.
        let earliest = OVER * nth as u32 / COUNT as u32;
        let at = end.at.duration_since(begun).unwrap_or_default();
        assert!(
            at + Duration::from_millis(20) >= earliest,
            "{nth} after {at:?}"
        );
        assert_eq!(end.initiator, Initiator::Shutdown);
        assert_eq!(end.reason, "the server is shutting down");
        assert!(end.retry_after.unwrap() <= OVER / COUNT as u32);
    }
    for client in &mut clients {
        let (code, reason) = client.closed().await.unwrap();
        assert_eq!(code, 1001);
        assert!(reason.contains("the server is shutting down"), "{reason}");
        assert!(slot(&reason).unwrap() <= OVER / COUNT as u32, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_are_left_go_on() {
    let router = realtime::Router::new()
        .route("echo", async |text: realtime::Json<String>| text)
        .room("lobby", realtime::room::RoomRule::open());
    let gateway = crate::support::builder().router(router).build().unwrap();
    let (server, mut clients) = with_clients(gateway, 2).await;
    for client in &mut clients {
        let joined = client.request("join", json!({"room": "lobby"})).await;
        joined.unwrap();
    }
    let gateway = server.gateway.clone();
    // The second one's turn is in half an hour.
    let drain = tokio::spawn(async move { gateway.drain(Duration::from_secs(3_600)).await });
    until("one of them is gone", async || {
        server.gateway.stats().open == 1
    })
    .await;
    let [first, second] = &mut clients[..] else {
        panic!("expected two clients");
    };
    let ((_, reason), left) = tokio::select! {
        end = first.closed() => (end.unwrap(), second),
        end = second.closed() => (end.unwrap(), first),
    };
    assert!(slot(&reason).unwrap() <= Duration::from_secs(1), "{reason}");
    let answer = left.request("echo", json!("still here")).await.unwrap();
    assert_eq!(answer["data"], "still here");
    let sent = server.gateway.broadcast("all", ()).await.unwrap();
    assert_eq!(sent.local, 1);
    assert_eq!(left.recv_json().await.unwrap()["route"], "all");
    let lobby = server.gateway.room("lobby");
    lobby.send("room", ()).await.unwrap();
    assert_eq!(left.recv_json().await.unwrap()["route"], "room");
    let refused = Request::new("/ws").refused(server.addr).await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    // Whoever has no time for it shuts down.
    let report = within("the shutdown", server.gateway.shutdown()).await;
    assert_eq!(report.sessions, 2);
    assert_eq!(left.closed().await.unwrap().0, 1001);
    assert_eq!(within("the drain", drain).await.unwrap(), report);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_it_begins_balancers_have_time_to_notice() {
    let notice = Duration::from_secs(2);
    let gateway = crate::support::builder().drain_notice(Some(notice)).build();
    let (server, mut clients) = with_clients(gateway.unwrap(), 3).await;
    let begun = Instant::now();
    let gateway = server.gateway.clone();
    let drain = tokio::spawn(async move { gateway.drain(Duration::ZERO).await });
    let refused = until("upgrades are refused", async || {
        let connected = Client::connect(server.addr).await;
        connected.is_err_and(|error| error.to_string().contains("503"))
    });
    refused.await;
    for client in &mut clients {
        client.closed().await.unwrap();
        assert!(begun.elapsed() >= notice, "after {:?}", begun.elapsed());
    }
    assert_eq!(within("the drain", drain).await.unwrap().aborted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_who_ask_the_earliest_end_counts() {
    let gateway = crate::support::builder().build().unwrap();
    let (server, mut clients) = with_clients(gateway, 3).await;
    server.gateway.begin_drain(Duration::MAX);
    until("the first is closed", async || {
        server.gateway.health().sessions < 3
    })
    .await;
    let begun = Instant::now();
    server.gateway.begin_drain(Duration::from_secs(3_600));
    let over = Duration::from_millis(600);
    let report = within("its end", server.gateway.drain(over)).await;
    assert_eq!((report.sessions, report.aborted), (3, 0));
    // A third of it for each that was left.
    assert!(begun.elapsed() >= over / 2, "after {:?}", begun.elapsed());
    for client in &mut clients {
        assert_eq!(client.closed().await.unwrap().0, 1001);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_nobody_who_has_left() {
    let gateway = crate::support::builder().build().unwrap();
    let (server, clients) = with_clients(gateway, 3).await;
    let gateway = server.gateway.clone();
    let drain = tokio::spawn(async move { gateway.drain(Duration::MAX).await });
    until("the first is closed", async || {
        server.gateway.health().sessions < 3
    })
    .await;
    drop(clients);
    assert_eq!(within("its end", drain).await.unwrap().aborted, 0);
}
