//! A node that is killed, as by `kill -9`: a process of its own.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use realtime::{config::Limits, connect, error::DeliverErrorKind, revocation::Revocation};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};

use crate::{
    cluster::Cluster,
    jumps::Wall,
    jwts::{self, Stores},
    nodes::{Node, is_quick, key},
    rooms,
};

/// How long a survey waits for nodes.
const WAIT: Duration = Duration::from_secs(1);
/// Set in the environment of a process that is to be a node: its broker and its presence, and
/// whether it has rooms, or JWTs and where they are revoked.
const NODE: &str = "REALTIME_TEST_NODE";
const WITH_ROOMS: &str = "rooms";
const WITH_A_LONG_LEASE: &str = "long";
/// The lease of its sessions.
pub(crate) const LEASE: Duration = Duration::from_secs(3);
/// One that outlives its test.
const LONG_LEASE: Duration = Duration::from_secs(120);

pub(crate) fn asked_to_be_a_node() -> Option<String> {
    std::env::var(NODE).ok()
}

#[tokio::main]
pub(crate) async fn be_a_node(cluster: &str) {
    let words: Vec<_> = cluster.split(' ').collect();
    let node = match *words {
        [broker, presence] => Node::start(broker, presence, |b| b.presence_ttl(Some(LEASE))).await,
        [broker, presence, WITH_A_LONG_LEASE] => {
            Node::start(broker, presence, |b| b.presence_ttl(Some(LONG_LEASE))).await
        }
        [broker, redis, WITH_ROOMS] => rooms::victim(broker, redis).await,
        [broker, presence, revocations, jwts::VICTIM, ref issuer @ ..] => {
            let urls = [broker, presence, revocations];
            jwts::victim(urls, issuer.first().copied()).await
        }
        _ => panic!("expected a broker and a presence store; got {cluster:?}"),
    };
    println!("{}", node.addr);
    // Until it is killed, or its parent is gone.
    let gone = tokio::task::spawn_blocking(|| std::io::stdin().lines().count());
    let _lines = gone.await;
}

/// A node in another process.
pub(crate) struct Victim(Child);

impl Victim {
    async fn start(cluster: &Cluster) -> (Self, Client) {
        Self::start_with(cluster, "").await
    }

    async fn start_with(cluster: &Cluster, what: &str) -> (Self, Client) {
        let urls = format!("{} {} {what}", cluster.rabbitmq.url(), cluster.redis.url());
        let (victim, address) = Self::spawn(urls.trim_end().to_owned());
        let client = Request::new("/ws?bob").connect(address).await.unwrap();
        (victim, client)
    }

    /// One over these, and where it listens.
    pub(crate) fn plain(broker: &str, presence: &str) -> (Self, SocketAddr) {
        Self::spawn(format!("{broker} {presence}"))
    }

    /// One with rooms, and where it listens.
    pub(crate) fn with_rooms(broker: &str, redis: &str) -> (Self, SocketAddr) {
        Self::spawn(format!("{broker} {redis} {WITH_ROOMS}"))
    }

    /// One whose clients show JWTs, in the request or in the first message, and where it listens.
    pub(crate) fn with_jwt(stores: &Stores) -> (Self, SocketAddr) {
        Self::run(Self::command(stores.of_a_victim()))
    }

    /// The same, with the keys of an issuer.
    pub(crate) fn with_keys_at(url: &str, stores: &Stores) -> (Self, SocketAddr) {
        Self::run(Self::command(stores.of_a_victim_with_keys_at(url)))
    }

    /// The same, with this time of day.
    pub(crate) fn under(wall: &Wall, stores: &Stores) -> (Self, SocketAddr) {
        let mut command = Self::command(stores.of_a_victim());
        command.envs(wall.environment());
        Self::run(command)
    }

    fn spawn(urls: String) -> (Self, SocketAddr) {
        Self::run(Self::command(urls))
    }

    fn command(urls: String) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(NODE, urls);
        command
    }

    fn run(mut command: Command) -> (Self, SocketAddr) {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut address = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut address).unwrap();
        let address = address.trim().parse().unwrap();
        (Self(child), address)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_waited = self.0.wait();
    }
}

pub(crate) async fn a_killed_node_is_gone_for_a_targeted_message_at_once() {
    let cluster = Cluster::start().await;
    let survivor = cluster.node().await;
    let (victim, mut bob) = Victim::start_with(&cluster, WITH_A_LONG_LEASE).await;
    let to_bob = async || {
        survivor
            .gateway
            .send_to_identity(&key("bob"), "n", ())
            .await
    };
    until("bob is reached", async || to_bob().await.is_ok()).await;
    assert_eq!(bob.recv_json().await.unwrap()["route"], "n");
    // By then its own link is old enough for it to judge others.
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(victim);
    until("the message comes back", async || {
        to_bob()
            .await
            .is_err_and(|error| error.kind() == DeliverErrorKind::NotOnline)
    })
    .await;
    // It may be another that merely lost its link: the lease says when it leaves presence.
    assert!(survivor.gateway.is_online(&key("bob")).await.unwrap());
    survivor.stop().await;
}

pub(crate) async fn a_killed_node_is_missing_in_a_receipt_until_that_is_known() {
    let cluster = Cluster::start().await;
    let survivor = cluster.node().await;
    let (victim, _bob) = Victim::start(&cluster).await;
    let known = async |nodes: usize| survivor.gateway.nodes().len() == nodes;
    until("it is known", async || known(2).await).await;
    let killed = survivor.gateway.nodes().remove(1);
    let everybody = || survivor.gateway.everybody().within(WAIT);
    until("bob is there and has joined", async || {
        let receipt = everybody().join("a").await.unwrap();
        receipt.sessions == 1 && receipt.is_complete()
    })
    .await;
    drop(victim);
    let (begun, receipt) = (Instant::now(), everybody().leave("a").await.unwrap());
    assert!(begun.elapsed() < WAIT + Duration::from_secs(10));
    assert_eq!(receipt.missing, [killed]);
    assert!(receipt.not_asked.is_none());
    let gone = tokio::time::timeout(Duration::from_secs(40), async {
        while !known(1).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    gone.await.unwrap();
    let all = everybody().within(Duration::from_secs(30));
    assert!(all.leave("a").await.unwrap().is_complete());
    survivor.stop().await;
}

pub(crate) async fn a_revoked_user_is_out_everywhere_though_a_node_was_killed() {
    let cluster = Cluster::start().await;
    let store = || connect::revocations(&cluster.redis.url()).unwrap();
    let node = || cluster.node_with(|builder| builder.revocations(store()));
    let (a, b) = (node().await, node().await);
    let (victim, _bob) = Victim::start(&cluster).await;
    let all_known = async || a.gateway.nodes().len() == 3;
    until("all are known", all_known).await;
    let mut clients = [a.join("bob").await, b.join("bob").await];
    drop(victim);
    let revoke = async |name: &str, clients: &mut [Client; 2]| {
        let revocation = Revocation::identity(key(name), SystemTime::now());
        let (gateway, begun) = (a.gateway.clone(), Instant::now());
        let revoking = tokio::spawn(async move { gateway.revoke(revocation).await.unwrap() });
        for client in clients {
            assert_eq!(client.closed().await.unwrap().0, 3500);
        }
        (begun.elapsed(), revoking.await.unwrap())
    };
    let (took, receipt) = revoke("bob", &mut clients).await;
    assert_eq!((receipt.sessions, receipt.missing.len()), (2, 1));
    is_quick(took, async |name| {
        let mut clients = [a.join(name).await, b.join(name).await];
        revoke(name, &mut clients).await.0
    })
    .await;
    // Neither there, nor where one begins in its place.
    let later = node().await;
    for node in [&a, &b, &later] {
        let request = Request::new("/ws?bob");
        assert_eq!(request.refused(node.addr).await.status, 401);
        node.join("eve").await;
    }
    for node in [a, b, later] {
        node.stop().await;
    }
}

pub(crate) async fn the_place_of_a_session_on_a_killed_node_is_free_with_its_lease() {
    let cluster = Cluster::start().await;
    let mut limits = Limits::default();
    limits.max_connections_per_identity = Some(3);
    let node = || cluster.node_with(|builder| builder.limits(limits.clone()));
    let (a, b) = (node().await, node().await);
    let (victim, _bob) = Victim::start(&cluster).await;
    let of_bob = async || a.gateway.sessions_of(&key("bob")).await.unwrap().len();
    until("his session there is known", async || of_bob().await == 1).await;
    let _here = (a.connect("bob").await, b.connect("bob").await);
    until("all three are known", async || of_bob().await == 3).await;
    let request = Request::new("/ws?bob");
    for node in [&a, &b] {
        assert_eq!(request.refused(node.addr).await.status, 429);
    }
    drop(victim);
    until("there is room for one", async || {
        request.connect(b.addr).await.is_ok()
    })
    .await;
    for node in [a, b] {
        node.stop().await;
    }
}

pub(crate) async fn a_killed_node_is_gone_from_presence_within_its_lease() {
    let cluster = Cluster::start().await;
    let survivor = cluster.node().await;
    let (victim, _bob) = Victim::start(&cluster).await;
    until("bob is online", async || {
        survivor.gateway.is_online(&key("bob")).await.unwrap()
    })
    .await;
    // Longer than a lease: it is renewed.
    tokio::time::sleep(2 * LEASE).await;
    assert!(survivor.gateway.is_online(&key("bob")).await.unwrap());
    drop(victim);
    let start = Instant::now();
    until("his lease has ended", async || {
        !survivor.gateway.is_online(&key("bob")).await.unwrap()
    })
    .await;
    assert!(start.elapsed() < LEASE + Duration::from_secs(1));
    survivor.stop().await;
}
