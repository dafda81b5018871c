//! The books of rooms: what was sent to them is what each member got, with a history also those that
//! were away.

mod away;
mod book;
mod calm;
mod check;
mod emptied;
mod killed;
mod member;
mod publisher;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{
    Builder, Router, connect,
    history::Retention,
    presence::{Change, ChangeKind, Group},
    room::RoomRule,
};
use realtime_testkit::wait::{DEADLINE, until};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::nodes::Node;
pub(crate) use away::{
    rooms_while_rabbitmq_goes_down_and_up, rooms_while_redis_as_broker_goes_down_and_up,
};
use book::{Book, Numbers, PUBLISHERS, Progress, ROOMS, Sent, is_kept};
pub(crate) use calm::{
    over_nats_rooms_lose_nothing, over_rabbitmq_rooms_lose_nothing, over_redis_rooms_lose_nothing,
    within_one_process_rooms_lose_nothing,
};
pub(crate) use check::the_checker_of_rooms_finds_what_is_wrong;
use check::{Counts, Ledger, check};
pub(crate) use emptied::{
    rooms_while_redis_alone_is_emptied, rooms_while_redis_beside_rabbitmq_is_emptied,
};
pub(crate) use killed::{
    over_rabbitmq_a_killed_node_loses_nothing_of_rooms,
    over_redis_a_killed_node_loses_nothing_of_rooms, victim,
};
use member::{Habit, Member, Shared};
use publisher::{Load, SentAll};

const NODES: usize = 3;
/// Of each habit on each node, and as many that stay.
const MEMBERS: usize = 8 * NODES;
/// Half of them stay.
const HABITS: [Habit; 4] = [Habit::Stays, Habit::Roams, Habit::Stays, Habit::Leaves];

/// Whom the hooks of a node were told of: who came or went, in which room, as which change.
type Told = Arc<Mutex<Vec<(ChangeKind, String, String, u64)>>>;

/// What a node of the cluster has.
fn rooms(builder: Builder, told: &Told) -> Builder {
    let retention = Retention::new(Retention::MAX_MESSAGES, Duration::from_secs(3_600)).unwrap();
    let kept = RoomRule::open().history(retention).presence().publish("n");
    let router = Router::new()
        .room("kept:{n}", kept)
        .room("plain:{n}", RoomRule::open().publish("n"));
    let told = Arc::clone(told);
    let on_presence = move |change: Change| {
        if let Group::Room(room) = &change.member.group {
            let (who, room) = (change.member.identity.id().to_owned(), room.to_string());
            let change = (change.kind, who, room, change.version);
            told.lock().unwrap().push(change);
        }
        std::future::ready(())
    };
    let builder = builder.router(router).on_presence(on_presence);
    builder.queue_messages(100_000).queue_bytes(64 << 20)
}

/// The nodes, the members and who publishes.
struct Run {
    nodes: Vec<Node>,
    told: Vec<Told>,
    shared: Arc<Shared>,
    members: Vec<JoinHandle<[Book; ROOMS.len()]>>,
    publishers: Vec<JoinHandle<SentAll>>,
    load: Load,
    stop: watch::Sender<bool>,
}

/// All books at the end.
struct Books {
    sent: [[Sent; PUBLISHERS]; ROOMS.len()],
    members: Vec<[Book; ROOMS.len()]>,
}

/// All that the checker has counted in one room.
type Totals = Vec<Vec<Counts>>;

impl Run {
    fn new(load: Load) -> Self {
        let shared = Shared {
            progress: Progress::new(MEMBERS),
            nodes: Mutex::default(),
            calm: AtomicBool::new(false),
        };
        Self {
            nodes: Vec::new(),
            told: Vec::new(),
            shared: Arc::new(shared),
            members: Vec::new(),
            publishers: Vec::new(),
            load,
            stop: watch::Sender::new(false),
        }
    }

    /// A node over these, and further settings.
    async fn add(&mut self, broker: &str, presence: &str, with: impl FnOnce(Builder) -> Builder) {
        let told = Told::default();
        let node = Node::start(broker, presence, |builder| with(rooms(builder, &told))).await;
        self.shared.nodes.lock().unwrap().push(node.addr);
        self.nodes.push(node);
        self.told.push(told);
    }

    /// A node with presence and histories in one Redis.
    async fn add_over(&mut self, broker: &str, redis: &str, with: impl FnOnce(Builder) -> Builder) {
        let history = connect::history(redis).unwrap();
        self.add(broker, redis, |builder| with(builder.history(history)))
            .await;
    }

    /// All members come, each on its node.
    async fn join(&mut self) {
        for index in 0..MEMBERS {
            let habit = HABITS[index / NODES % HABITS.len()];
            let member = Member::new(index, habit, Arc::clone(&self.shared));
            let stop = self.stop.subscribe();
            self.members.push(tokio::spawn(member.run(stop)));
        }
        self.are_settled().await;
    }

    async fn are_settled(&self) {
        let progress = &self.shared.progress;
        until("all are in all rooms", async || progress.are_settled()).await;
    }

    /// Waits until each node has begun so many messages to each room.
    async fn until_begun(&self, messages: u64) {
        let begun = || (0..ROOMS.len()).map(|room| self.shared.progress.begun(room));
        let enough = |numbers: Numbers| numbers[..self.nodes.len()].iter().all(|n| *n >= messages);
        while !begun().all(enough) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every node of this process begins to publish.
    fn publish(&mut self) {
        for (publisher, node) in self.nodes.iter().enumerate() {
            let shared = Arc::clone(&self.shared);
            let load = self.load.clone();
            let publisher = publisher::from_node(publisher, node.gateway.clone(), shared, load);
            self.publishers.push(publisher);
        }
    }

    /// A client of a node publishes.
    fn publish_by_client(&mut self) {
        let (publisher, shared) = (self.publishers.len(), Arc::clone(&self.shared));
        let publisher = publisher::from_client(publisher, shared, self.load.clone());
        self.publishers.push(publisher);
    }

    /// What is published now arrives at everybody.
    async fn messages_flow(&self) {
        let begun = || std::array::from_fn(|room| self.shared.progress.begun(room));
        let now: [Numbers; ROOMS.len()] = begun();
        // The next ones, and some more.
        let count = self.publishers.len();
        let next = now.map(|room| std::array::from_fn(|p| if p < count { room[p] + 5 } else { 0 }));
        let flow = timeout(2 * DEADLINE, async {
            while !self.shared.progress.all_have(&next) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let errors = || {
            let errors = self.nodes.iter().map(|n| n.errors.lock().unwrap().clone());
            errors.collect::<Vec<_>>()
        };
        assert!(
            flow.await.is_ok(),
            "from {now:?} on not everybody gets what is sent: {:?}, {:?}",
            self.shared.progress,
            errors()
        );
    }

    async fn are_well(&self) {
        until("the links are back", async || {
            self.nodes
                .iter()
                .all(|node| node.gateway.health().is_good())
        })
        .await;
    }

    fn outages(&self) -> Vec<u64> {
        let outages = |node: &Node| node.gateway.stats().broker_outages;
        self.nodes.iter().map(outages).collect()
    }

    /// Everybody has noticed that the broker was away.
    async fn have_noticed(&self, before: &[u64]) {
        until("everybody has noticed", async || {
            let now = self.outages();
            now.iter().zip(before).all(|(now, before)| now > before)
        })
        .await;
    }

    /// Members stay where they are, the publishers end, and everything comes.
    async fn end(&mut self) -> Books {
        self.shared.calm.store(true, SeqCst);
        self.are_settled().await;
        // Who has just come in gets the last messages, too.
        self.messages_flow().await;
        self.load.enough.store(true, SeqCst);
        let mut sent: [[Sent; PUBLISHERS]; ROOMS.len()] = Default::default();
        for (publisher, task) in self.publishers.drain(..).enumerate() {
            let by_room = task.await.unwrap();
            for (sent, by_room) in sent.iter_mut().zip(by_room) {
                sent[publisher] = by_room;
            }
        }
        let all: [Numbers; ROOMS.len()] =
            std::array::from_fn(|room| std::array::from_fn(|p| sent[room][p].count));
        // Should something never come, the checker says what.
        let _in_time = timeout(2 * DEADLINE, async {
            while !self.shared.progress.all_have(&all) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        // What comes twice, and a gap, may still be on its way.
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.stop.send_replace(true);
        let mut members = Vec::new();
        for member in self.members.drain(..) {
            members.push(timeout(DEADLINE, member).await.unwrap().unwrap());
        }
        Books { sent, members }
    }

    async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }

    /// Where the nodes of this process listen.
    fn forget_node(&self, node: SocketAddr) {
        self.shared
            .nodes
            .lock()
            .unwrap()
            .retain(|addr| *addr != node);
    }
}

impl Books {
    /// Checks all books, and returns what was counted: of each room, for each member.
    fn audit(&self) -> Totals {
        let mut wrong = Vec::new();
        let audits = (0..ROOMS.len()).map(|room| {
            let mut ledger = Ledger::new();
            let books = self.members.iter().enumerate();
            let counts = books.map(|(member, books)| {
                let audit = check(is_kept(room), &books[room], &self.sent[room], &mut ledger);
                audit.unwrap_or_else(|error| {
                    wrong.push(format!("{} of member {member}: {error}", ROOMS[room]));
                    Counts::default()
                })
            });
            counts.collect()
        });
        let audits = audits.collect();
        let few: Vec<_> = wrong.iter().take(6).collect();
        assert!(
            wrong.is_empty(),
            "{} books are wrong: {few:#?}",
            wrong.len()
        );
        audits
    }
}

/// The sum of something in these rooms.
fn sum(totals: &Totals, kept: bool, what: impl Fn(&Counts) -> u64) -> u64 {
    let rooms = totals.iter().enumerate();
    let rooms = rooms.filter(|(room, _)| is_kept(*room) == kept);
    rooms.flat_map(|(_, counts)| counts).map(what).sum()
}
