//! Two nodes against each other, over a link that loses and repeats.

use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use proptest::prelude::*;
use tokio::time::{advance, timeout};

use super::*;
use crate::{
    NodeId,
    broker::{BrokerEvents, TopicName},
};

fn info(name: &str) -> NodeInfo {
    NodeInfo::new(name.parse().unwrap(), Incarnation::random())
}

fn named(name: &str) -> (Topic, TopicName) {
    let name: TopicName = name.parse().unwrap();
    (Topic::Named(name.clone()), name)
}

/// A node whose events are heard.
struct Node {
    out: Outgoing,
    inn: Incoming,
    heard: BrokerEvents,
}

impl Node {
    fn new(name: &str) -> Self {
        Self::of(info(name))
    }

    fn of(node: NodeInfo) -> Self {
        let events = Arc::new(Events::new());
        let heard = BrokerEvents::new(events.subscribe());
        let (out, inn) = pair(node, events);
        Self { out, inn, heard }
    }

    fn own(&self) -> Topic {
        self.out.node().topic()
    }

    fn events(&mut self) -> Vec<BrokerEvent> {
        std::iter::from_fn(|| self.heard.next().now_or_never().flatten()).collect()
    }

    /// How many messages were missed since this was last asked.
    fn missed(&mut self) -> u64 {
        let events = self.events().into_iter();
        let gap = |event| match event {
            BrokerEvent::Gap { missed, .. } => missed,
            BrokerEvent::InvalidMessage { cause, .. } => panic!("{cause}"),
            _ => 0,
        };
        events.map(gap).sum()
    }

    /// Receives something, and tells how many were missed before it.
    fn misses(&mut self, bytes: Bytes) -> u64 {
        let _next = self.inn.receive(bytes);
        self.missed()
    }

    fn delivers(&mut self, bytes: Bytes) -> bool {
        matches!(self.inn.receive(bytes), Next::Deliver(_))
    }

    /// Everything that is due now.
    fn due(&mut self) -> Vec<Announcement> {
        std::iter::from_fn(|| match self.out.next().now_or_never()? {
            Due::Say(announcement) => Some(announcement),
            Due::LinkDown { cause } => panic!("{cause}"),
        })
        .collect()
    }

    /// What this node says of a topic now, as others hear it.
    async fn says(&mut self) -> Vec<Announcement> {
        self.out.begin();
        self.due()
    }
}

#[test]
fn what_came_before_a_node_had_joined_is_no_gap() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    for _ in 0..5 {
        let _before = here.out.message(&Topic::All, b"");
    }
    assert_eq!(there.misses(here.out.message(&Topic::All, b"")), 0);
    let _lost = here.out.message(&Topic::All, b"");
    assert_eq!(there.misses(here.out.hello().data), 1);
    assert_eq!(there.misses(here.out.hello().data), 0, "told once");
}

#[test]
fn what_a_node_missed_before_it_was_away_is_counted_when_it_is_back() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    let topic = there.own();
    assert_eq!(there.misses(here.out.message(&topic, b"")), 0);
    let _taken_and_lost = here.out.message(&topic, b"");
    for _ in 0..3 {
        let _returned = here.out.message(&topic, b"");
        here.out.forget(&topic);
    }
    assert_eq!(there.misses(here.out.message(&topic, b"")), 4);
}

#[tokio::test(start_paused = true)]
async fn who_is_back_is_told_what_it_has_missed() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    let topic = there.own();
    assert_eq!(there.misses(here.out.message(&topic, b"")), 0);
    assert_eq!(there.misses(here.out.message(&Topic::All, b"")), 0);
    let _lost = [
        here.out.message(&topic, b""),
        here.out.message(&Topic::All, b""),
    ];
    here.out.forget(&topic);
    here.says().await;
    there.inn.begin();
    here.inn.receive(there.out.hello().data);
    let answer = here.due();
    assert!(
        answer.is_empty(),
        "not all nodes answer at once: {answer:?}"
    );
    advance(Duration::from_millis(20)).await;
    let said = here.due();
    let topics: Vec<_> = said.iter().map(|said| said.topic.clone()).collect();
    assert_eq!(
        topics,
        [Topic::All, topic],
        "a beacon, and a mark for it alone"
    );
    let missed: Vec<_> = said
        .into_iter()
        .map(|said| there.misses(said.data))
        .collect();
    assert_eq!(missed, [1, 1]);
}

#[test]
fn the_first_message_for_a_node_is_missed_too() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    for _ in 0..4 {
        there.inn.receive(here.out.hello().data);
        there.inn.receive(there.out.probe().data);
    }
    let topic = there.own();
    let _taken_and_lost = here.out.message(&topic, b"");
    there.inn.begin();
    let mark = here.out.mark(topic).unwrap();
    assert_eq!(there.misses(mark.data), 1);
}

#[test]
fn a_node_that_subscribes_again_is_not_taken_for_a_repetition() {
    let (mut there, numbered) = (Node::new("there"), Numbered::default());
    let node = info("here");
    for _ in 0..3 {
        let mut here = Node::of(node.clone());
        here.out.continue_from(&numbered);
        assert_eq!(there.misses(here.out.hello().data), 0);
        for topic in [Topic::All, there.own()] {
            assert!(there.delivers(here.out.message(&topic, b"")));
            assert!(there.delivers(here.out.message(&topic, b"")));
        }
        assert_eq!(there.misses(here.out.goodbye().data), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_gone_because_this_node_was_refused_for_a_while() {
    let (here, mut there) = (Node::new("here"), Node::new("there"));
    there.inn.receive(here.out.hello().data);
    for _ in 0..2 {
        there.inn.receive(there.out.probe().data);
    }
    // Both are accepted again at the same time, and the beacon comes with the next one.
    there.events();
    there.out.begin();
    for _ in 0..2 {
        for said in there.due() {
            there.inn.receive(said.data);
        }
        advance(BEACON_INTERVAL).await;
    }
    assert_eq!(there.events(), []);
}

#[tokio::test(start_paused = true)]
async fn a_beacon_promises_no_more_than_the_next_one_keeps() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    let others: Vec<_> = (0..99).map(|n| Node::new(&format!("n-{n}"))).collect();
    for other in &others {
        here.inn.receive(other.out.hello().data);
    }
    here.says().await;
    advance(BEACON_INTERVAL).await;
    here.due();
    for other in &others {
        here.inn.receive(other.out.goodbye().data);
    }
    // Its next beacon is due in 25 s, though three would do now.
    here.inn.receive(there.out.hello().data);
    let mut answers = here.due();
    advance(Duration::from_secs(2)).await;
    answers.extend(here.due());
    for said in answers {
        there.inn.receive(said.data);
    }
    there.events();
    for _ in 0..3 {
        there.inn.receive(there.out.probe().data);
    }
    assert_eq!(there.events(), []);
}

#[tokio::test(start_paused = true)]
async fn the_loss_of_the_last_message_on_any_topic_is_noticed() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    let (room, name) = named("a room");
    there.inn.topics().join(&name).unwrap();
    here.says().await;
    for topic in [Topic::All, there.own(), room] {
        assert_eq!(there.misses(here.out.message(&topic, b"")), 0);
        let _lost = here.out.message(&topic, b"");
    }
    let mut missed = Vec::new();
    for _ in 0..5 {
        advance(BEACON_INTERVAL).await;
        for said in here.due() {
            // A probe of its own is for nobody else.
            if said.topic != here.own() {
                missed.push((there.misses(said.data), said.topic));
            }
        }
        here.out.begin();
    }
    let told: Vec<_> = missed.iter().filter(|(missed, _)| *missed > 0).collect();
    assert_eq!(told.len(), 3, "{missed:?}");
    // Beacons go on; each of the others is marked twice and no more.
    let marks = missed.iter().filter(|(_, topic)| *topic != Topic::All);
    assert_eq!(marks.count(), 4, "{missed:?}");
}

#[test]
fn a_forgotten_topic_goes_on_without_a_gap() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    let topic = there.own();
    for _ in 0..3 {
        assert_eq!(there.misses(here.out.message(&topic, b"")), 0);
    }
    here.out.forget(&topic);
    for n in 0..4_096 {
        let other = Topic::Node(format!("n-{n}").parse().unwrap());
        let _returned = here.out.message(&other, b"");
        here.out.forget(&other);
    }
    let message = here.out.message(&topic, b"again");
    assert_eq!(there.misses(message.clone()), 0);
    assert!(!there.delivers(message), "a duplicate");
}

#[test]
fn what_thousands_of_nodes_have_missed_at_once_is_counted() {
    let mut here = Node::new("here");
    let mut there: Vec<_> = (0..4_096).map(|n| Node::new(&format!("n-{n}"))).collect();
    for node in &mut there {
        let topic = node.own();
        assert_eq!(node.misses(here.out.message(&topic, b"heard")), 0);
        let _lost = here.out.message(&topic, b"");
    }
    // All of them twice: what nobody hears any more isn't counted anew each time.
    for _ in 0..2 {
        for node in &there {
            let _returned = here.out.message(&node.own(), b"");
            here.out.forget(&node.own());
        }
    }
    for node in &mut there {
        let topic = node.own();
        assert_eq!(node.misses(here.out.message(&topic, b"again")), 3);
    }
}

#[test]
fn topics_and_nodes_beyond_the_bound_push_out_the_oldest() {
    let mut here = Node::new("here");
    let mut there = Node::new("n-0");
    let first = there.own();
    let _all = here.out.message(&Topic::All, b"");
    assert_eq!(there.misses(here.out.message(&first, b"")), 0);
    for n in 1..=20_000 {
        let _sent = here.out.message(&named(&format!("n-{n}")).0, b"");
    }
    assert_eq!(there.misses(here.out.message(&first, b"")), 0);
    assert_eq!(there.misses(here.out.message(&first, b"")), 0);
    let mut late = Node::new("late");
    for n in 0..5_000 {
        let source = Node::new(&format!("s-{n}"));
        assert_eq!(late.misses(source.out.hello().data), 0);
    }
}

#[test]
fn a_beacon_does_not_grow_with_those_to_whom_was_sent() {
    let mut here = Node::new("here");
    let small = here.out.hello().data.len();
    for n in 0..5_000 {
        let _sent = here
            .out
            .message(&Topic::Node(format!("n-{n}").parse().unwrap()), b"");
    }
    assert_eq!(here.out.hello().data.len(), small);
    assert!(small <= 64, "{small}");
    for topic in [Topic::All, named("a room").0] {
        let size = here.out.size_of(&topic, 3);
        assert_eq!(here.out.message(&topic, b"abc").len(), size);
    }
}

#[test]
fn a_topic_is_delivered_while_the_node_is_in_it() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    let (room, name) = named("a room");
    assert!(!there.delivers(here.out.message(&room, b"")));
    assert!(there.inn.topics().join(&name).unwrap());
    assert!(!there.inn.topics().join(&name).unwrap());
    let Next::Deliver(message) = there.inn.receive(here.out.message(&room, b"hello")) else {
        panic!("it is joined");
    };
    assert_eq!(
        (message.topic, &message.data[..]),
        (room.clone(), &b"hello"[..])
    );
    assert_eq!(there.missed(), 0);
    let _lost = here.out.message(&room, b"");
    assert_eq!(there.misses(here.out.message(&room, b"")), 1);
    assert!(there.inn.topics().leave(&name) && !there.inn.topics().leave(&name));
    assert!(!there.delivers(here.out.message(&room, b"")));
    there.inn.topics().join(&name).unwrap();
    assert_eq!(
        there.misses(here.out.message(&room, b"")),
        0,
        "it was not in it"
    );
}

#[test]
fn a_stamp_is_no_longer_than_is_said() {
    let mut here = Node::new(&"n".repeat(NodeId::MAX));
    let longest = named(&"t".repeat(TopicName::MAX)).0;
    let stamped = here.out.message(&longest, b"data");
    assert_eq!(stamped.len(), MAX_STAMP + 4);
    assert!(here.out.message(&Topic::All, b"data").len() < MAX_STAMP + 4);
}

#[test]
fn a_node_knows_its_own_and_its_double() {
    let (mut own, mut twin) = (Node::new("twin"), Node::new("twin"));
    let echo = own.out.message(&Topic::All, b"");
    assert!(!own.delivers(echo));
    let question = own.out.question().data;
    assert_eq!(look(own.out.node(), question.clone()), Look::Other);
    assert!(matches!(own.inn.receive(question), Next::Nothing));
    let (hello, own_info) = (own.out.hello().data, own.out.node().clone());
    assert_eq!(look(&own_info, hello.clone()), Look::OwnBeacon);
    // The other asks, and is answered.
    assert!(matches!(
        own.inn.receive(twin.out.question().data),
        Next::Nothing
    ));
    let answer = own.due().remove(0);
    assert_eq!(answer.topic, Topic::All);
    assert_eq!(
        look(twin.out.node(), answer.data.clone()),
        Look::DuplicateNode
    );
    let incarnation = own_info.incarnation;
    let said = [answer.data.clone(), answer.data.clone(), hello];
    let told = said.map(|bytes| match twin.inn.receive(bytes) {
        Next::DuplicateNode {
            incarnation: theirs,
        } => theirs == incarnation,
        _ => false,
    });
    assert_eq!(told, [true, false, false], "once");
    let large = twin.out.message(&Topic::All, b"large");
    assert!(matches!(
        own.inn.refuse(large.clone(), "too large"),
        Next::DuplicateNode { incarnation } if incarnation == twin.out.node().incarnation
    ));
    assert!(matches!(own.inn.refuse(large, "too large"), Next::Nothing));
    assert_eq!(own.events(), []);
    let mut other = Node::new("other");
    assert!(matches!(other.inn.receive(answer.data), Next::Nothing));
    assert!(other.due().is_empty());
}

#[test]
fn nodes_come_and_go() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    let node = here.out.node().clone();
    let (up, down) = (BrokerEvent::node_up, BrokerEvent::node_down);
    there.inn.receive(here.out.message(&Topic::All, b""));
    there.inn.receive(here.out.hello().data);
    assert_eq!(there.events(), [up(node.clone())]);
    there.inn.receive(here.out.goodbye().data);
    there.inn.receive(here.out.goodbye().data);
    assert_eq!(there.events(), [down(node.clone())]);
    there.inn.receive(here.out.hello().data);
    assert_eq!(there.events(), [up(node.clone())]);
    // It is started again, and something of its former life comes late.
    let next = Node::new("here");
    there.inn.receive(next.out.hello().data);
    there.inn.receive(here.out.message(&Topic::All, b"late"));
    assert_eq!(there.events(), [down(node), up(next.out.node().clone())]);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_beacons_stop_is_gone_within_three() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    there.inn.receive(here.out.hello().data);
    there.events();
    here.out.begin();
    there.out.begin();
    let turn = async |there: &mut Node, here: Option<&mut Node>| {
        advance(BEACON_INTERVAL).await;
        if let Some(here) = here {
            for said in here.due() {
                here.inn.receive(said.data.clone());
                there.inn.receive(said.data);
            }
        }
        for said in there.due() {
            there.inn.receive(said.data);
        }
        there.events()
    };
    for _ in 0..20 {
        assert_eq!(turn(&mut there, Some(&mut here)).await, []);
    }
    // Its last one came just before a probe of this node.
    assert_eq!(turn(&mut there, None).await, []);
    let heard = turn(&mut there, None).await;
    assert_eq!(heard, [BrokerEvent::node_down(here.out.node().clone())]);
    assert_eq!(turn(&mut there, None).await, []);
    there.inn.receive(here.out.message(&Topic::All, b""));
    assert_eq!(
        there.events(),
        [BrokerEvent::node_up(here.out.node().clone())]
    );
}

#[tokio::test(start_paused = true)]
async fn a_link_on_which_nothing_comes_back_is_down() {
    let mut node = Node::new("here");
    node.out.begin();
    let began = tokio::time::Instant::now();
    let down = async {
        loop {
            if let Due::LinkDown { cause } = node.out.next().await {
                return cause;
            }
        }
    };
    let cause = timeout(10 * BEACON_INTERVAL, down).await.unwrap();
    assert!(cause.contains("doesn't come back"), "{cause}");
    assert!(
        began.elapsed() <= 2 * BEACON_INTERVAL,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_link_without_this_nodes_own_topic_is_down_and_so_is_one_without_all() {
    for lost in [Topic::All, "here".parse().map(Topic::Node).unwrap()] {
        let mut node = Node::new("here");
        node.out.begin();
        let down = async {
            loop {
                match node.out.next().await {
                    Due::Say(said) if said.topic != lost => drop(node.inn.receive(said.data)),
                    Due::Say(_) => {}
                    Due::LinkDown { cause } => return cause,
                }
            }
        };
        let down = timeout(4 * BEACON_INTERVAL, down).await;
        assert!(down.is_ok(), "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_large_cluster_a_link_without_what_is_for_all_is_down_soon_after_one_beacon() {
    let mut here = Node::new("here");
    let mut others: Vec<_> = (0..99).map(|n| Node::new(&format!("n-{n}"))).collect();
    for other in &mut others {
        here.inn.receive(other.out.hello().data);
        other.out.begin();
    }
    here.out.begin();
    let down = async {
        loop {
            match here.out.next().await {
                Due::Say(said) if said.topic == Topic::All => {}
                Due::Say(said) => drop(here.inn.receive(said.data)),
                Due::LinkDown { cause } => return cause,
            }
            // The others are there all the time.
            for other in &mut others {
                for said in other.due() {
                    here.inn.receive(said.data.clone());
                    other.inn.receive(said.data);
                }
            }
        }
    };
    // The second beacon would be due after 28 s.
    let cause = timeout(6 * BEACON_INTERVAL, down).await.unwrap();
    assert_eq!(cause, "what this node publishes for all doesn't come back");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_begins_again_and_again_says_beacons_all_the_same() {
    let mut here = Node::new("here");
    for n in 0..99 {
        let other = Node::new(&format!("n-{n}"));
        here.inn.receive(other.out.hello().data);
    }
    let mut beacons = Vec::new();
    for second in 0..12 {
        here.out.begin();
        for said in here.due() {
            if said.topic == Topic::All {
                beacons.push(second);
            }
        }
        advance(Duration::from_secs(1)).await;
    }
    // Those who asked may be answered at first, too.
    beacons.retain(|second| *second >= 3);
    assert_eq!(beacons, [3, 7, 11], "the first as soon as a hello promises");
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_not_all_say_their_beacons_at_once() {
    let mut nodes: Vec<_> = (0..64).map(|n| Node::new(&format!("n-{n}"))).collect();
    for node in &mut nodes {
        node.out.begin();
    }
    advance(10 * BEACON_INTERVAL).await;
    for node in &mut nodes {
        node.out.begin();
    }
    let (mut at_once, mut all) = (0, 0);
    for _ in 0..29 {
        let said = nodes.iter_mut().flat_map(Node::due);
        let beacons = said.filter(|said| said.topic == Topic::All).count();
        at_once = at_once.max(beacons);
        all += beacons;
        advance(BEACON_INTERVAL / 30).await;
    }
    assert!(at_once < 32, "{at_once} of {all}");
    assert!((32..=64).contains(&all), "{all} in an interval");
}

#[tokio::test(start_paused = true)]
async fn many_that_join_at_once_are_answered_together() {
    let mut nodes: Vec<_> = (0..40).map(|n| Node::new(&format!("n-{n}"))).collect();
    let mut said = 0;
    let mut wire = Vec::new();
    for node in &mut nodes {
        node.out.begin();
        wire.push(node.out.hello());
    }
    for _ in 0..50 {
        for announcement in std::mem::take(&mut wire) {
            said += 1;
            for node in &mut nodes {
                let is_for = announcement.topic == Topic::All || announcement.topic == node.own();
                if is_for {
                    node.inn.receive(announcement.data.clone());
                }
            }
        }
        advance(Duration::from_millis(50)).await;
        for node in &mut nodes {
            let own = node.own();
            wire.extend(node.due().into_iter().filter(|said| said.topic != own));
        }
    }
    assert!((80..=200).contains(&said), "{said} in 2.5 s");
    for node in &mut nodes {
        let up = node.events().into_iter();
        let up = up.filter(|event| matches!(event, BrokerEvent::NodeUp { .. }));
        assert_eq!(up.count(), 39);
    }
}

/// What it takes in bytes to publish an announcement and to have one of them delivered, with all that
/// a protocol puts around it.
type Framing = fn(&Announcement) -> (usize, usize);

/// Redis: a command and its answer, and a push.
fn over_redis(Announcement { topic, data }: &Announcement) -> (usize, usize) {
    let array = |words: [usize; 3]| {
        let line = |number: usize| 3 + number.to_string().len();
        let words = words.map(|word| line(word) + word + 2);
        line(words.len()) + words.iter().sum::<usize>()
    };
    let channel = "rt:{realtime}:".len() + topic.to_string().len();
    let publish = array(["PUBLISH".len(), channel, data.len()]) + ":100\r\n".len();
    (publish, array(["message".len(), channel, data.len()]))
}

/// AMQP: three frames each, and what confirms or acknowledges them. What is for a node is followed by
/// an empty message, which asks whether the node is there.
fn over_amqp(Announcement { topic, data }: &Announcement) -> (usize, usize) {
    const FRAME: usize = 8;
    const HEADER: usize = FRAME + 15;
    const ACK: usize = FRAME + 13;
    let names = 1 + "rt.realtime".len() + 1 + topic.to_string().len();
    let tag = 1 + "node".len();
    let (publish, deliver) = (FRAME + 7 + names, FRAME + 4 + tag + 9 + names);
    let [asks, is_asked] = match topic {
        Topic::All => [0, 0],
        _ => [publish, deliver].map(|method| method + HEADER + ACK),
    };
    let [said, heard] = [publish, deliver].map(|method| method + HEADER + FRAME + data.len() + ACK);
    (said + asks, heard + is_asked)
}

/// A hundred nodes, with the ids that they draw: each byte that goes to the server or comes from it
/// counts.
#[tokio::test(start_paused = true)]
async fn a_hundred_idle_nodes_exchange_less_than_100_kb_a_second() {
    const NODES: usize = 100;
    const TURN: Duration = Duration::from_millis(500);
    // After so long all know of all. Then each says so much, in so long.
    let (settles, lasts) = (Duration::from_secs(60), beacon::interval(NODES - 1) * 3);
    // Beside it each asks Redis now and then whether that is a master, and hears what it says of itself;
    // heartbeats of AMQP go both ways on two connections.
    let roles = 250 / BEACON_INTERVAL.as_secs() as usize;
    let heartbeats = 4 * 8 / 2;
    let framings: [(&str, Framing, usize); 2] = [
        ("Redis", over_redis, roles),
        ("AMQP", over_amqp, heartbeats),
    ];
    let mut nodes: Vec<_> = (0..NODES)
        .map(|_| Node::new(NodeId::random().as_str()))
        .collect();
    let mut wire = Vec::new();
    for node in &mut nodes {
        node.out.begin();
        wire.push(node.out.hello());
    }
    let mut bytes = [0; 2];
    let began = tokio::time::Instant::now();
    while began.elapsed() < settles + lasts {
        if began.elapsed() < settles {
            bytes = [0; 2];
        }
        for said in std::mem::take(&mut wire) {
            let mut delivered = 0;
            for node in &mut nodes {
                if said.topic == Topic::All || said.topic == node.own() {
                    delivered += 1;
                    node.inn.receive(said.data.clone());
                }
            }
            for (bytes, (_, framing, _)) in bytes.iter_mut().zip(framings) {
                let (published, each) = framing(&said);
                *bytes += published + each * delivered;
            }
        }
        advance(TURN).await;
        for node in &mut nodes {
            wire.extend(node.due());
        }
    }
    for (bytes, (over, _, beside)) in bytes.iter().zip(framings) {
        let each_second = bytes / lasts.as_secs() as usize + NODES * beside;
        assert!(
            (50_000..100_000).contains(&each_second),
            "{over}: {each_second}"
        );
    }
    for mut node in nodes {
        let (up, others): (Vec<_>, Vec<_>) = node
            .events()
            .into_iter()
            .partition(|event| matches!(event, BrokerEvent::NodeUp { .. }));
        assert_eq!((up.len(), others), (NODES - 1, vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_large_cluster_news_is_said_sooner_than_that_there_is_none() {
    let (mut here, mut there) = (Node::new("here"), Node::new("there"));
    let mut others: Vec<_> = (0..99).map(|n| Node::new(&format!("n-{n}"))).collect();
    for other in &mut others {
        here.inn.receive(other.out.hello().data);
        other.out.begin();
    }
    here.out.begin();
    there.inn.receive(here.out.hello().data);
    // After how many seconds it says how far it has come for all, and what was missed then.
    let mut says = async |here: &mut Node, seconds: u64| {
        let mut said = Vec::new();
        for second in 1..=seconds {
            advance(Duration::from_secs(1)).await;
            for announcement in here.due() {
                here.inn.receive(announcement.data.clone());
                if announcement.topic == Topic::All {
                    said.push((second, there.misses(announcement.data)));
                }
            }
            for other in &mut others {
                for announcement in other.due() {
                    here.inn.receive(announcement.data.clone());
                    other.inn.receive(announcement.data);
                }
            }
        }
        said
    };
    let mut idle = says(&mut here, 60).await;
    let (answered, _) = idle.remove(0);
    assert!(answered <= 2, "those who have just come are answered");
    assert_eq!(idle, [(3, 0), (28, 0), (53, 0)]);
    assert_eq!(says(&mut here, 5).await, []);
    let _lost = here.out.message(&Topic::All, b"");
    let told = says(&mut here, 70).await;
    assert_eq!(told, [(10, 1), (20, 0), (45, 0), (70, 0)]);
}

proptest! {
    #[test]
    fn delivered_and_missed_make_up_what_was_sent(
        sent in prop::collection::vec((0..3_usize, 0..4_u8), 0..60),
    ) {
        let (mut here, mut there) = (Node::new("here"), Node::new("there"));
        let (room, name) = named("a room");
        there.inn.topics().join(&name).unwrap();
        let topics = [Topic::All, there.own(), room];
        let mut gaps = there.misses(here.out.hello().data);
        let (mut delivered, mut counted) = (Vec::new(), 0);
        // On the two others counting begins with what comes first.
        let mut begun = [true, false, false];
        for (n, (to, fate)) in sent.iter().enumerate() {
            let bytes = here.out.message(&topics[*to], &[n as u8]);
            begun[*to] |= *fate > 0;
            counted += u64::from(begun[*to]);
            // Lost, delivered, delivered twice, or delivered with a beacon behind it.
            for _ in 0..[0, 1, 2, 1][usize::from(*fate)] {
                if let Next::Deliver(message) = there.inn.receive(bytes.clone()) {
                    prop_assert_eq!(&message.topic, &topics[*to]);
                    delivered.push(message.data[0]);
                }
            }
            if *fate == 3 {
                gaps += there.misses(here.out.hello().data);
            }
        }
        gaps += there.misses(here.out.hello().data);
        for topic in &topics[1..] {
            // A last one that comes shows what is missing before it.
            if let Some(mark) = here.out.mark(topic.clone()) {
                gaps += there.misses(mark.data);
            }
        }
        gaps += there.missed();
        let arrived = sent.iter().enumerate().filter(|(_, (_, fate))| *fate > 0);
        let expected: Vec<_> = arrived.map(|(n, _)| n as u8).collect();
        prop_assert_eq!(&delivered, &expected);
        prop_assert_eq!(delivered.len() as u64 + gaps, counted);
    }

    #[test]
    fn garbage_is_refused_or_read_and_never_panics(
        mut bytes: Vec<u8>, damage: Option<(prop::sample::Index, u8)>, kind in 0..5_usize,
    ) {
        let (mut here, mut there) = (Node::new("here"), Node::new("there"));
        if let Some((at, with)) = damage {
            let whole = [here.out.hello().data, here.out.goodbye().data, here.out.question().data,
                here.out.message(&Topic::All, b"one"), here.out.message(&named("a").0, b"two")];
            bytes = whole[kind].to_vec();
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        let _looked_at = look(there.out.node(), bytes.clone().into());
        let _next = there.inn.receive(bytes.into());
    }
}
