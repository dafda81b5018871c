//! Three nodes over Redis, one started again after the other, while rooms are told something all the
//! time, by a service and by members: nobody misses a message, what was acknowledged is heard, and nobody
//! is refused.

use std::{
    collections::BTreeMap,
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
use realtime_client::{Client, RequestError, RoomEvent, State};
use realtime_testkit::{
    servers::Redis,
    wait::{DEADLINE, until},
};
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

use crate::balancer::Balancer;

const CLIENTS: usize = 60;
const SPEAKERS: usize = 6;

struct Node {
    gateway: Gateway,
    addr: SocketAddr,
    signal: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

fn gateway(redis: &str) -> Gateway {
    let retention = Retention::new(10_000, Duration::from_secs(600)).unwrap();
    let rule = RoomRule::open().history(retention).publish("n");
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
    /// When it was lost, and how long it then tried to be back.
    tried: Vec<(Instant, Duration)>,
    /// How often it tried in vain to come back.
    in_vain: u32,
}

/// How it fares, until it has ended.
async fn watched(client: Client) -> Seen {
    let mut state = client.state();
    drop(client);
    let (mut seen, mut away, mut trying) = (Seen::default(), None::<Instant>, None::<Instant>);
    while state.changed().await.is_ok() {
        match state.borrow_and_update().clone() {
            State::Online => {
                if let Some(since) = away.take() {
                    seen.away = seen.away.max(since.elapsed());
                    let tried = trying
                        .take()
                        .map_or(Duration::ZERO, |since| since.elapsed());
                    seen.tried.push((since, tried));
                }
            }
            // From the first attempt on, also where others follow.
            State::Connecting if away.is_some() => {
                trying.get_or_insert_with(Instant::now);
            }
            State::Waiting { .. } if away.is_some() => seen.in_vain += 1,
            State::Waiting { .. } => away = Some(Instant::now()),
            _ => {}
        }
    }
    seen
}

fn connected(url: &str) -> Client {
    let client =
        Client::builder(url).backoff(Duration::from_millis(50), Duration::from_millis(500));
    client.connect().unwrap()
}

/// Reads the room until it has heard the last number.
async fn member(url: String, joined: Arc<AtomicUsize>) -> Seen {
    let client = connected(&url);
    let mut room = client.room("order:1").join().await.unwrap();
    joined.fetch_add(1, SeqCst);
    let watch = tokio::spawn(watched(client.clone()));
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

/// Publishes numbers, each until it is acknowledged, and hears those of all, each once and in order.
/// Returns how many it has published, and heard of each, and what happened to it.
async fn speaker(
    url: String,
    own: usize,
    joined: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
) -> (u64, BTreeMap<usize, u64>, Seen) {
    let client = connected(&url);
    let mut room = client.room("order:2").join().await.unwrap();
    joined.fetch_add(1, SeqCst);
    let watch = tokio::spawn(watched(client.clone()));
    let (mut number, mut heard, mut ended) = (0_u64, BTreeMap::<usize, u64>::new(), 0);
    let mut has_ended = false;
    while ended < SPEAKERS {
        if !has_ended {
            number += 1;
            has_ended = done.load(SeqCst);
            let key = format!("{own}-{number}");
            loop {
                let said = room.publish_once(&key, Json((own, number, has_ended)));
                match said.await {
                    Ok(()) => break,
                    // It may have been taken, which the key is for.
                    Err(RequestError::Lost { .. } | RequestError::TimedOut { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
        while ended < SPEAKERS && (has_ended || heard.get(&own) != Some(&number)) {
            let RoomEvent::Message(message) = room.next().await.expect("the room goes on") else {
                continue;
            };
            let (of, number, is_last): (usize, u64, bool) = message.decode().unwrap();
            let before = heard.insert(of, number).unwrap_or(0);
            assert_eq!(number, before + 1, "{own} hears {of}");
            ended += usize::from(is_last);
        }
        sleep(Duration::from_millis(20)).await;
    }
    client.close().await;
    drop((client, room));
    (number, heard, watch.await.unwrap())
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
    let speakers: Vec<_> = (0..SPEAKERS)
        .map(|own| speaker(address.clone(), own, Arc::clone(&joined), Arc::clone(&done)))
        .map(tokio::spawn)
        .collect();
    let all = CLIENTS + SPEAKERS;
    until("all are connected", async || {
        let open: u64 = nodes.iter().map(|node| node.gateway.stats().open).sum();
        open == all as u64
    })
    .await;
    until("all are there", async || joined.load(SeqCst) == all).await;
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
    let mut ends = Vec::new();
    for _ in 0..3 {
        let new = Node::start(&url).await;
        balancer.add(new.addr).await;
        let old = nodes.remove(0);
        let addr = old.addr;
        old.end().await;
        balancer.remove(addr);
        nodes.push(new);
        ends.push(Instant::now());
    }
    done.store(true, SeqCst);
    let sent = sends.await.unwrap();
    let mut all = Vec::new();
    for member in members {
        let seen = member.await.unwrap();
        assert_eq!(seen.heard, sent);
        all.push(seen);
    }
    let mut spoken = Vec::new();
    for speaker in speakers {
        let (published, heard, seen) = speaker.await.unwrap();
        spoken.push((published, heard));
        all.push(seen);
    }
    for (_, heard) in &spoken {
        let published = spoken.iter().map(|(published, _)| published);
        assert!(heard.values().eq(published), "{heard:?}");
    }
    let away = all.iter().map(|seen| seen.away).max().unwrap();
    let in_vain: u32 = all.iter().map(|seen| seen.in_vain).sum();
    // Of each restart: for how long those whom it has moved tried to be back.
    let mut tries = vec![Vec::<Duration>::new(); ends.len()];
    for (lost, time) in all.iter().flat_map(|seen| &seen.tried) {
        let restart = ends.iter().filter(|end| *end < lost).count();
        // Who hears late of the last one is still of that one: no other follows.
        tries[restart.min(ends.len() - 1)].push(*time);
    }
    // How many there are, for how long half of them tried, and the longest of all.
    let mut restarts = Vec::new();
    for mut tried in tries {
        tried.sort_unstable();
        let median = tried.get(tried.len() / 2).copied().unwrap_or_default();
        let longest = tried.last().copied().unwrap_or_default();
        restarts.push((tried.len(), median, longest));
    }
    println!(
        "{sent} messages; away for {away:?} at the most; {in_vain} attempts in vain; moved, and tried \
         for: {restarts:?}"
    );
    assert_eq!(in_vain, 0, "nobody is refused");
    // A quarter of a second where nothing else runs.
    assert!(away < DEADLINE, "away for {away:?}");
    assert!(
        restarts.iter().all(|(moved, ..)| *moved > 0),
        "{restarts:?}"
    );
    // Where others take the processor for a while, they take it from some clients of a restart, or from
    // one restart, and not from most of them in most.
    let mut medians: Vec<Duration> = restarts.iter().map(|(_, median, _)| *median).collect();
    medians.sort_unstable();
    assert!(
        medians[medians.len() / 2] < Duration::from_secs(1),
        "{restarts:?}"
    );
    for node in nodes {
        node.end().await;
    }
    service.shutdown().await;
}
