//! A loop of sends or broadcasts lets the other tasks of its runtime have a turn.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use realtime::{Gateway, IdentityKey, Json, Message, Router, Session};
use realtime_testkit::wait::within;
use serde_json::Value;
use tokio::time::interval;

use crate::{drain::drain, support::Server};

/// As many turns as a neighbour is to get.
const TICKS: usize = 20;
/// What is enough for that, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(3);

/// A task that wants a turn every millisecond.
#[derive(Clone)]
struct Neighbour(Arc<AtomicUsize>);

impl Neighbour {
    async fn move_in() -> Self {
        let ticks = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&ticks);
        tokio::spawn(async move {
            let mut clock = interval(Duration::from_millis(1));
            loop {
                clock.tick().await;
                counts.fetch_add(1, SeqCst);
            }
        });
        tokio::task::yield_now().await;
        Self(ticks)
    }

    /// The turns that it gets from now on.
    fn turns(&self) -> Turns {
        Turns {
            ticks: Arc::clone(&self.0),
            before: self.0.load(SeqCst),
            begun: Instant::now(),
        }
    }
}

struct Turns {
    ticks: Arc<AtomicUsize>,
    before: usize,
    begun: Instant,
}

impl Turns {
    fn so_far(&self) -> usize {
        self.ticks.load(SeqCst) - self.before
    }

    /// Whether to go on with the loop beside which the neighbour lives.
    fn are_missing(&self) -> bool {
        self.so_far() < TICKS && self.begun.elapsed() < PATIENCE
    }

    fn check(&self) {
        let ticks = self.so_far();
        assert!(ticks >= TICKS, "{ticks} ticks in {PATIENCE:?}");
    }
}

fn roomy(router: Router) -> Gateway {
    let builder = crate::support::builder()
        .router(router)
        .queue_messages(1 << 20);
    let builder = builder.queue_bytes(256 << 20).write_timeout(None);
    builder.build().unwrap()
}

/// One session, which reads.
async fn one_session(router: Router) -> (Server, Session) {
    let server = Server::start(roomy(router)).await;
    drain(server.connect().await);
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    (server, session)
}

#[tokio::test]
async fn of_broadcasts_to_nobody() {
    let (neighbour, gateway) = (Neighbour::move_in().await, roomy(Router::new()));
    let turns = neighbour.turns();
    while turns.are_missing() {
        gateway.broadcast("n", ()).await.unwrap();
    }
    turns.check();
}

#[tokio::test]
async fn of_broadcasts_to_nobody_of_a_started_gateway() {
    let (neighbour, gateway) = (Neighbour::move_in().await, roomy(Router::new()));
    gateway.start().await.unwrap();
    let turns = neighbour.turns();
    while turns.are_missing() {
        gateway.broadcast("n", ()).await.unwrap();
    }
    turns.check();
}

#[tokio::test]
async fn of_broadcasts_to_one() {
    let neighbour = Neighbour::move_in().await;
    let (server, _) = one_session(Router::new()).await;
    let turns = neighbour.turns();
    while turns.are_missing() {
        server.gateway.broadcast("n", ()).await.unwrap();
    }
    turns.check();
}

#[tokio::test]
async fn of_sends_that_wait_for_room() {
    let neighbour = Neighbour::move_in().await;
    let (_server, session) = one_session(Router::new()).await;
    let turns = neighbour.turns();
    while turns.are_missing() {
        session.send_wait("n", ()).await.unwrap();
    }
    turns.check();
}

#[tokio::test]
async fn of_ready_messages_that_wait_for_room() {
    let neighbour = Neighbour::move_in().await;
    let (_server, session) = one_session(Router::new()).await;
    let message = Message::new("n", ()).unwrap();
    let turns = neighbour.turns();
    while turns.are_missing() {
        session.send_message_wait(&message).await.unwrap();
    }
    turns.check();
}

#[tokio::test]
async fn of_messages_to_an_identity() {
    let neighbour = Neighbour::move_in().await;
    let (server, session) = one_session(Router::new()).await;
    let key = session.identity_key();
    let turns = neighbour.turns();
    while turns.are_missing() {
        let sent = server.gateway.send_to_identity(key, "n", ()).await;
        assert_eq!(sent.unwrap().local, 1);
    }
    turns.check();
}

#[tokio::test]
async fn of_messages_to_an_identity_that_is_not_online() {
    let (neighbour, gateway) = (Neighbour::move_in().await, roomy(Router::new()));
    let key = IdentityKey::new("nobody");
    let turns = neighbour.turns();
    while turns.are_missing() {
        gateway.send_to_identity(&key, "n", ()).await.unwrap_err();
    }
    turns.check();
}

/// The handler's own session is a neighbour, too.
#[tokio::test]
async fn of_sends_and_broadcasts_in_a_handler() {
    let neighbour = Neighbour::move_in().await;
    let (by_send, by_broadcast) = (neighbour.clone(), neighbour.clone());
    let router = Router::new()
        .route("send", move |session: Session| {
            let neighbour = by_send.clone();
            async move {
                let turns = neighbour.turns();
                while turns.are_missing() {
                    session.send_wait("n", ()).await.unwrap();
                }
                turns.check();
                Json("done")
            }
        })
        .route("broadcast", move |gateway: Gateway| {
            let neighbour = by_broadcast.clone();
            async move {
                let turns = neighbour.turns();
                while turns.are_missing() {
                    gateway.broadcast("n", ()).await.unwrap();
                }
                turns.check();
                Json("done")
            }
        });
    let server = Server::start(roomy(router)).await;
    let mut client = server.connect().await;
    for route in ["send", "broadcast"] {
        let asked = client.request(route, Value::Null);
        let answer = within("the handler", asked).await.unwrap();
        assert_eq!(answer["data"], "done");
    }
}
