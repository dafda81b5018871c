//! Three nodes over Redis, one started again after the other, while a room is told something all the
//! time: nobody misses a message, and nobody is refused.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures::StreamExt;
use realtime::{
    Gateway, Json, Livez, Readyz, Router, bind, connect, history::Retention, room::RoomRule, serve,
};
use realtime_client::{Client, RoomEvent, State};
use realtime_testkit::{
    servers::Redis,
    wait::{DEADLINE, until},
};
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

use crate::balancer::Balancer;

const CLIENTS: usize = 60;

struct Node {
    gateway: Gateway,
    addr: SocketAddr,
    signal: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

fn gateway(redis: &str) -> Gateway {
    let retention = Retention::new(10_000, Duration::from_secs(600)).unwrap();
    let rule = RoomRule::open().history(retention);
    crate::support::builder()
        .router(Router::new().room("{room}", rule))
        .broker(connect::broker(redis).unwrap())
        .history(connect::history(redis).unwrap())
        .presence(connect::presence(redis).unwrap())
        // Many times as long as the balancer needs, on a busy machine, too.
        .drain_notice(Some(Duration::from_secs(1)))
        .drain_over(Some(Duration::from_secs(1)))
        .build()
        .unwrap()
}

impl Node {
    async fn start(redis: &str) -> Self {
        let gateway = gateway(redis);
        let listener = bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = axum::Router::new()
            .route_service("/livez", Livez)
            .route_service("/readyz", Readyz::of(&gateway))
            .route_service("/ws", gateway.clone());
        let (signal, signalled) = oneshot::channel();
        let server = serve(listener, app, gateway.clone());
        let server = tokio::spawn(server.with_graceful_shutdown(signalled).into_future());
        Self {
            gateway,
            addr,
            signal,
            server,
        }
    }

    async fn end(self) {
        self.signal.send(()).unwrap();
        self.server.await.unwrap().unwrap();
        assert_eq!(self.gateway.stats().aborted, 0);
    }
}

/// What happened to a client.
#[derive(Debug, Default)]
struct Seen {
    /// How many numbers it was told, each once and in order.
    heard: u64,
    /// For how long it was away at the most.
    away: Duration,
    /// How often it tried in vain to come back.
    in_vain: u32,
}

/// Reads the room until it has heard the last number.
async fn member(url: String, joined: Arc<AtomicUsize>) -> Seen {
    let client = Client::builder(url)
        .backoff(Duration::from_millis(50), Duration::from_millis(500))
        .connect()
        .unwrap();
    let mut room = client.room("order:1").join().await.unwrap();
    joined.fetch_add(1, SeqCst);
    let mut state = client.state();
    let watch = tokio::spawn(async move {
        let (mut seen, mut since) = (Seen::default(), None::<Instant>);
        while state.changed().await.is_ok() {
            match state.borrow_and_update().clone() {
                State::Online => {
                    let away = since.take().map_or(Duration::ZERO, |since| since.elapsed());
                    seen.away = seen.away.max(away);
                }
                State::Waiting { .. } if since.is_some() => seen.in_vain += 1,
                State::Waiting { .. } => since = Some(Instant::now()),
                _ => {}
            }
        }
        seen
    });
    let mut heard = 0;
    loop {
        match room.next().await.expect("the room goes on") {
            RoomEvent::Message(message) => {
                let (number, is_last): (u64, bool) = message.decode().unwrap();
                assert_eq!(number, heard + 1);
                heard = number;
                if is_last {
                    break;
                }
            }
            RoomEvent::Recovered { .. } => {}
            other => panic!("expected messages; got {other:?}"),
        }
    }
    client.close().await;
    drop((client, room));
    let mut seen = watch.await.unwrap();
    seen.heard = heard;
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_misses_a_message_while_all_nodes_are_started_again() {
    let redis = Redis::start().await.unwrap();
    let url = redis.url();
    let balancer = Balancer::start().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let node = Node::start(&url).await;
        balancer.add(node.addr).await;
        nodes.push(node);
    }
    // A service that has no clients of its own.
    let service = gateway(&url);
    service.start().await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let address = format!("ws://{}/ws", balancer.addr);
    let joined = Arc::new(AtomicUsize::new(0));
    let members: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(member(address.clone(), Arc::clone(&joined))))
        .collect();
    until("all are there", async || {
        let open: u64 = nodes.iter().map(|node| node.gateway.stats().open).sum();
        open == CLIENTS as u64 && joined.load(SeqCst) == CLIENTS
    })
    .await;
    let (says, is_done) = (service.clone(), Arc::clone(&done));
    let sends = tokio::spawn(async move {
        let mut number = 0_u64;
        loop {
            number += 1;
            let is_last = is_done.load(SeqCst);
            let data = Json((number, is_last));
            says.room("order:1").send("n", data).await.unwrap();
            if is_last {
                return number;
            }
            sleep(Duration::from_millis(3)).await;
        }
    });
    for _ in 0..3 {
        let new = Node::start(&url).await;
        balancer.add(new.addr).await;
        let old = nodes.remove(0);
        let addr = old.addr;
        old.end().await;
        balancer.remove(addr);
        nodes.push(new);
    }
    done.store(true, SeqCst);
    let sent = sends.await.unwrap();
    let (mut away, mut in_vain) = (Duration::ZERO, 0);
    for member in members {
        let seen = member.await.unwrap();
        assert_eq!(seen.heard, sent);
        (away, in_vain) = (away.max(seen.away), in_vain + seen.in_vain);
    }
    println!("{sent} messages; away for {away:?} at the most; {in_vain} attempts in vain");
    assert_eq!(in_vain, 0, "nobody is refused");
    // A quarter of a second where nothing else runs.
    assert!(away < DEADLINE, "away for {away:?}");
    for node in nodes {
        node.end().await;
    }
    service.shutdown().await;
}
