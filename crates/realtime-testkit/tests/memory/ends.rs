//! Every end that a session can have, as its client sees it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use realtime::{
    Backpressure, Builder, ClientError, CloseCode, DisconnectInfo, Initiator, Json, Payload,
    Session,
};
use realtime_testkit::{memory::Connect, wait::until};
use tokio::time::Instant;

use crate::{ann, bob, builder};

/// What `on_disconnect` hooks hear.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<DisconnectInfo>>>);

impl Ends {
    fn of(&self, builder: Builder) -> Builder {
        let ends = self.clone();
        builder.on_disconnect(move |info: DisconnectInfo| {
            let ends = ends.clone();
            async move { ends.0.lock().unwrap().push(info) }
        })
    }

    async fn one(&self) -> DisconnectInfo {
        let ended = async || !self.0.lock().unwrap().is_empty();
        until("the on_disconnect hook has run", ended).await;
        self.0.lock().unwrap()[0].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_closes() {
    let gateway = builder().build().unwrap();
    let mut ann = ann(&gateway).await;
    let session = ann.session(&gateway).unwrap();
    session.send("last", Json("words")).unwrap();
    session.close(CloseCode::DISCONNECTED, "banned");
    let end = ann.closed().await.unwrap();
    assert_eq!(end.code, Some(CloseCode::DISCONNECTED));
    assert_eq!((&*end.reason, end.close_frame), ("banned", true));
    assert_eq!(ann.receive().await.unwrap().route(), "last");
    let error = ann.receive().await.unwrap_err();
    assert_eq!(error.end(), Some(&end));
    assert!(error.to_string().contains("3503 \"banned\""), "{error}");
    assert!(ann.send("echo", Json(1)).await.unwrap_err().end().is_some());
    assert!(ann.session(&gateway).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_client_closes() {
    let ends = Ends::default();
    let gateway = ends.of(builder()).build().unwrap();
    let mut ann = ann(&gateway).await;
    ann.close(CloseCode::new(4001).unwrap(), "bye")
        .await
        .unwrap();
    assert!(ann.closed().await.unwrap().close_frame);
    let info = ends.one().await;
    assert_eq!((info.initiator, &*info.reason), (Initiator::Client, "bye"));
    assert_eq!(info.code, CloseCode::new(4001).ok());
}

#[tokio::test(start_paused = true)]
async fn the_client_is_gone_without_a_close_frame() {
    let ends = Ends::default();
    let gateway = ends.of(builder()).build().unwrap();
    let (mut ann, bob) = (ann(&gateway).await, bob(&gateway).await);
    drop(bob);
    let info = ends.one().await;
    assert_eq!((info.initiator, info.code), (Initiator::Client, None));
    ann.send("chat", Json("alone")).await.unwrap();
    assert_eq!(ann.receive().await.unwrap().route(), "chat");
}

#[tokio::test(start_paused = true)]
async fn the_gateway_shuts_down_or_is_dropped() {
    let gateway = builder().build().unwrap();
    let (mut ann, mut bob) = (ann(&gateway).await, bob(&gateway).await);
    assert_eq!(gateway.shutdown().await.sessions, 2);
    for client in [&mut ann, &mut bob] {
        let end = client.closed().await.unwrap();
        assert_eq!(end.code, Some(CloseCode::GOING_AWAY));
    }
    let error = Connect::new().to(&gateway).await.unwrap_err();
    assert_eq!(error.status(), Some(503));

    let gateway = builder().build().unwrap();
    let mut cid = crate::ann(&gateway).await;
    drop(gateway);
    let end = cid.closed().await.unwrap();
    assert_eq!(end.code, Some(CloseCode::GOING_AWAY));
}

#[tokio::test(start_paused = true)]
async fn a_connect_hook_refuses() {
    let refuse = async |session: Session| {
        session.send("sorry", Json("full")).unwrap();
        Err::<(), _>(ClientError::new("full", "no room is left"))
    };
    let gateway = builder().on_connect(refuse).build().unwrap();
    let mut ann = ann(&gateway).await;
    let end = ann.closed().await.unwrap();
    assert_eq!(end.code, Some(CloseCode::POLICY_VIOLATION));
    assert_eq!(ann.receive().await.unwrap().route(), "sorry");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_closed_and_one_that_does_stays() {
    let gateway = builder().build().unwrap();
    let (mut ann, mut bob) = (ann(&gateway).await, bob(&gateway).await);
    let begun = Instant::now();
    ann.answer_pings(false);
    ann.set_deadline(Duration::from_secs(60));
    let end = ann.closed().await.unwrap();
    assert_eq!(end.code, Some(CloseCode::PONG_TIMEOUT));
    // 10 s for the pong, after a ping within the first 30 s: sessions don't ping all at once.
    let passed = begun.elapsed().as_secs();
    assert!((10..=45).contains(&passed), "{passed}");
    let hours = Duration::from_secs(2 * 60 * 60);
    bob.expect_nothing_for(hours).await.unwrap();
    assert!(bob.session(&gateway).is_some(), "it answers its pings");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_a_slow_consumer() {
    let ends = Ends::default();
    let builder = ends.of(builder()).queue_messages(4);
    let gateway = builder.build().unwrap();
    let narrow = Connect::new().pipe_bytes(256);
    let mut slow = narrow
        .accepted_by(&gateway, realtime::Identity::new("slow"))
        .await
        .unwrap();
    let mut ann = ann(&gateway).await;
    slow.stop_reading();
    let big = "x".repeat(1000);
    for _ in 0..10 {
        ann.send("chat", Json(&big)).await.unwrap();
        ann.receive_on("chat").await.unwrap();
    }
    assert_eq!(gateway.stats().slow_consumers, 1);
    slow.resume_reading();
    let end = slow.closed().await.unwrap();
    assert_eq!(end.code, Some(CloseCode::TRY_AGAIN_LATER));
    assert_eq!(ends.one().await.initiator, Initiator::Backpressure);
    assert!(slow.receive().await.is_ok(), "what was queued came first");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_again_is_notified_of_what_it_missed() {
    let builder = builder().queue_messages(4);
    let builder = builder.backpressure(Backpressure::DropNewest);
    let gateway = builder.build().unwrap();
    let narrow = Connect::new().pipe_bytes(256);
    let identity = realtime::Identity::new("slow");
    let mut slow = narrow.accepted_by(&gateway, identity).await.unwrap();
    slow.stop_reading();
    let session = slow.session(&gateway).unwrap();
    let sent = (0..20u32).filter(|_| session.send("n", Payload::from("1".repeat(300))).is_ok());
    let sent = sent.count() as u64;
    slow.resume_reading();
    let gap = slow.receive_on("gap").await.unwrap();
    let gap: serde_json::Value = gap.decode().unwrap();
    assert_eq!(gap["missed"], 20 - sent);
    for _ in 0..sent {
        slow.receive_on("n").await.unwrap();
    }
    slow.expect_nothing().await.unwrap();
}
