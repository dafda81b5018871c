//! How long a server is waited for, and by which clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use realtime_client::{Client, Json, RequestError, State};
use realtime_testkit::wait::{until, within};
use realtime_websocket::{Event, frame};
use serde_json::json;
use tokio::time::timeout;

use super::{
    MS, SECOND, quick,
    scripted::{Peer, Scripted},
};

async fn waiting(client: &Client) -> String {
    let mut state = client.state();
    let away = state.wait_for(|state| matches!(state, State::Waiting { .. }));
    format!("{:?}", *within("the loss", away).await.unwrap())
}

/// A flood, which ends with its client.
pub(super) fn flood(client: &Client) -> tokio::task::JoinHandle<()> {
    let client = client.clone();
    tokio::spawn(async move {
        let big = "x".repeat(100_000);
        while !matches!(
            client.send("flood", Json(&big)).await,
            Err(RequestError::Ended)
        ) {}
    })
}

#[tokio::test]
async fn a_server_that_speaks_and_does_not_read_is_left() {
    let server = Scripted::start().await;
    let client = quick(server.port())
        .write_timeout(300 * MS)
        .connect()
        .unwrap();
    let mut peer = server.accept().await;
    let speaking = tokio::spawn(async move {
        loop {
            peer.send(json!({"route": "news"})).await;
            tokio::time::sleep(20 * MS).await;
        }
    });
    within("a connection", client.online()).await.unwrap();
    let flood = flood(&client);
    let why = waiting(&client).await;
    assert!(why.contains("the server doesn't read"), "{why}");
    speaking.abort();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    within("a connection", client.online()).await.unwrap();
    flood.abort();
}

#[tokio::test]
async fn a_server_that_reads_slowly_is_not_left() {
    let server = Scripted::start().await;
    // Whatever waits is longer on its way than a ping may be without an answer.
    let client = quick(server.port())
        .write_timeout(SECOND)
        .ping(50 * MS, 300 * MS)
        .connect()
        .unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    within("a connection", client.online()).await.unwrap();
    let flood = flood(&client);
    let begun = Instant::now();
    let mut state = client.state();
    state.mark_unchanged();
    while begun.elapsed() < 3 * SECOND {
        peer.read_some(64 * 1024).await;
        assert!(
            timeout(20 * MS, state.changed()).await.is_err(),
            "{state:?}"
        );
    }
    flood.abort();
}

/// So slowly that Linux doesn't call the socket writable before the server is given up.
#[tokio::test]
async fn a_server_that_reads_very_slowly_is_not_left() {
    let server = Scripted::start().await;
    let client = quick(server.port())
        .write_timeout(2 * SECOND)
        .ping(None, SECOND)
        .connect()
        .unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    within("a connection", client.online()).await.unwrap();
    let flood = flood(&client);
    let mut state = client.state();
    state.mark_unchanged();
    let begun = Instant::now();
    while begun.elapsed() < 7 * SECOND {
        peer.read_some(32 * 1024).await;
        let changed = timeout(250 * MS, state.changed()).await;
        assert!(changed.is_err(), "{state:?}");
    }
    flood.abort();
}

/// A server in a thread of its own, which holds back its answers until the client's thread stands
/// still.
struct Aside {
    port: u16,
    /// How often something came that is to be answered.
    asked: Arc<AtomicUsize>,
    answer: mpsc::Sender<()>,
    answered: mpsc::Receiver<()>,
}

impl Aside {
    fn start() -> Self {
        let (port_is, port) = mpsc::channel();
        let (answer, may_answer) = mpsc::channel::<()>();
        let (has_answered, answered) = mpsc::channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let server = Scripted::start().await;
                port_is.send(server.port()).unwrap();
                let mut peer = server.accept().await;
                peer.send(json!({"route": "welcome"})).await;
                while let Some(event) = peer.event().await {
                    counted.fetch_add(1, SeqCst);
                    // Its own thread may wait: nothing else runs on it.
                    if may_answer.recv().is_err() {
                        return;
                    }
                    answer_to(&mut peer, event).await;
                    if has_answered.send(()).is_err() {
                        return;
                    }
                }
            });
        });
        Self {
            port: port.recv().unwrap(),
            asked,
            answer,
            answered,
        }
    }

    /// Once something was asked for the nth time, this thread stands still for so long, and the answer
    /// comes meanwhile.
    async fn stand_still(&self, nth: usize, long: Duration) {
        until("it is asked", async || self.asked.load(SeqCst) >= nth).await;
        self.answer.send(()).unwrap();
        self.answered.recv_timeout(10 * SECOND).unwrap();
        std::thread::sleep(long);
    }
}

async fn answer_to(peer: &mut Peer, event: Event) {
    match event {
        Event::Ping(payload) => peer.bytes(&frame::pong(&payload)).await,
        Event::Text(text) => {
            let asked: serde_json::Value = serde_json::from_str(&text).unwrap();
            peer.send(json!({"id": asked["id"], "data": asked["data"]}))
                .await;
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_came_while_this_process_stood_still_is_heard_before_it_is_judged() {
    let server = Aside::start();
    let client = quick(server.port)
        .ping(50 * MS, 600 * MS)
        .connect()
        .unwrap();
    within("a connection", client.online()).await.unwrap();
    let mut state = client.state();
    state.mark_unchanged();
    for nth in 1..=8 {
        server.stand_still(nth, 700 * MS).await;
        assert!(!state.has_changed().unwrap(), "{state:?}");
    }
}

#[tokio::test]
async fn an_answer_that_came_while_this_process_stood_still_is_in_time() {
    let server = Aside::start();
    let client = quick(server.port).ping(None, SECOND).connect().unwrap();
    within("a connection", client.online()).await.unwrap();
    // The one with which it opens.
    server.stand_still(1, MS).await;
    for nth in 2..10 {
        let message = realtime_client::Message::new("echo", Json(nth)).unwrap();
        let asking = client.request_message(message, 400 * MS);
        let (answer, ()) = tokio::join!(asking, server.stand_still(nth, 500 * MS));
        assert_eq!(answer.unwrap().decode::<usize>().unwrap(), nth);
    }
}
