//! What is missing, and that it is counted.

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::NodeId;

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
