//! The two pieces against each other, over a link that loses and repeats.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::broker::{BrokerErrorKind, NodeInfo, Topic};

fn node(name: &str) -> NodeInfo {
    NodeInfo::new(name.parse().unwrap(), Incarnation::random())
}

fn missed(received: Received) -> u64 {
    match received {
        Received::Message { missed, .. } | Received::Beacon { missed, .. } => missed,
        other => panic!("neither message nor beacon: {other:?}"),
    }
}

#[test]
fn what_came_before_a_node_had_joined_is_no_gap() {
    let (mut here, mut there) = (Outgoing::new(node("here")), Incoming::new(node("there")));
    for _ in 0..5 {
        let _before = here.message(&Topic::All, b"");
    }
    assert_eq!(
        missed(there.read(here.message(&Topic::All, b"")).unwrap()),
        0
    );
    let _lost = here.message(&Topic::All, b"");
    assert_eq!(missed(there.read(here.beacon()).unwrap()), 1);
    assert_eq!(missed(there.read(here.beacon()).unwrap()), 0, "told once");
}

#[test]
fn a_lost_first_message_is_noticed_after_a_beacon() {
    let (mut here, mut there) = (Outgoing::new(node("here")), Incoming::new(node("there")));
    let topic = Topic::Node("there".parse().unwrap());
    assert_eq!(missed(there.read(here.beacon()).unwrap()), 0);
    let _lost = here.message(&topic, b"");
    assert_eq!(missed(there.read(here.message(&topic, b"")).unwrap()), 1);
}

#[test]
fn what_a_node_missed_before_it_was_away_is_counted_when_it_is_back() {
    let (mut here, mut there) = (Outgoing::new(node("here")), Incoming::new(node("there")));
    let topic = Topic::Node("there".parse().unwrap());
    assert_eq!(missed(there.read(here.message(&topic, b"")).unwrap()), 0);
    let _taken_and_lost = here.message(&topic, b"");
    for _ in 0..3 {
        let _returned = here.message(&topic, b"");
        here.forget(&topic);
    }
    assert_eq!(missed(there.read(here.message(&topic, b"")).unwrap()), 4);
}

#[test]
fn a_forgotten_topic_goes_on_without_a_gap() {
    let (mut here, mut there) = (Outgoing::new(node("here")), Incoming::new(node("there")));
    let topic = Topic::Node("there".parse().unwrap());
    for _ in 0..3 {
        assert_eq!(missed(there.read(here.message(&topic, b"")).unwrap()), 0);
    }
    here.forget(&topic);
    for n in 0..64 {
        let other = Topic::Node(format!("n-{n}").parse().unwrap());
        let _returned = here.message(&other, b"");
        here.forget(&other);
    }
    assert_eq!(missed(there.read(here.beacon()).unwrap()), 0);
    let message = here.message(&topic, b"again");
    assert_eq!(missed(there.read(message.clone()).unwrap()), 0);
    assert_eq!(
        there.read(message).unwrap(),
        Received::Dropped,
        "a duplicate"
    );
}

#[test]
fn topics_beyond_the_bound_push_out_the_oldest() {
    let mut here = Outgoing::new(node("here"));
    let first = Topic::Node("n-0".parse().unwrap());
    let mut there = Incoming::new(node("n-0"));
    let _all = here.message(&Topic::All, b"");
    assert_eq!(missed(there.read(here.message(&first, b"")).unwrap()), 0);
    for n in 1..=5_000 {
        let topic = Topic::Node(format!("n-{n}").parse().unwrap());
        let _sent = here.message(&topic, b"");
    }
    assert!(here.beacon().len() < 5_000 * 22, "the beacon is bounded");
    assert_eq!(missed(there.read(here.message(&first, b"")).unwrap()), 0);
    let mut late = Incoming::new(node("late"));
    for n in 0..5_000 {
        let source = Outgoing::new(node(&format!("s-{n}")));
        assert_eq!(missed(late.read(source.beacon()).unwrap()), 0);
    }
}

#[test]
fn a_node_knows_its_own_and_its_double() {
    let own = node("twin");
    let (mut out, mut inn) = (Outgoing::new(own.clone()), Incoming::new(own));
    let twin = Outgoing::new(node("twin"));
    let echo = out.message(&Topic::All, b"");
    assert_eq!(inn.read(echo).unwrap(), Received::Dropped);
    assert_eq!(inn.read(out.beacon()).unwrap(), Received::OwnBeacon);
    assert_eq!(inn.read(out.question()).unwrap(), Received::Dropped);
    assert_eq!(inn.read(twin.question()).unwrap(), Received::Question);
    let incarnation = twin.node().incarnation;
    let double = Received::DuplicateNode { incarnation };
    assert_eq!(inn.read(twin.answer()).unwrap(), double);
    assert_eq!(inn.read(twin.beacon()).unwrap(), double);
    let mut other = Incoming::new(node("other"));
    assert_eq!(other.read(twin.answer()).unwrap(), Received::Dropped);
    assert_eq!(other.read(twin.question()).unwrap(), Received::Dropped);
}

proptest! {
    #[test]
    fn delivered_and_missed_make_up_what_was_sent(
        sent in prop::collection::vec((any::<bool>(), 0..4_u8), 0..60),
    ) {
        let (mut here, mut there) = (Outgoing::new(node("here")), Incoming::new(node("there")));
        let own = Topic::Node("there".parse().unwrap());
        prop_assert_eq!(missed(there.read(here.beacon()).unwrap()), 0);
        let (mut delivered, mut gaps) = (Vec::new(), 0);
        for (n, (targeted, fate)) in sent.iter().enumerate() {
            let topic = if *targeted { &own } else { &Topic::All };
            let bytes = here.message(topic, &[n as u8]);
            // Lost, delivered, delivered twice, or delivered with a beacon behind it.
            for _ in 0..[0, 1, 2, 1][usize::from(*fate)] {
                match there.read(bytes.clone()).unwrap() {
                    Received::Message { message, missed } => {
                        prop_assert_eq!(&message.topic, topic);
                        delivered.push(message.data[0]);
                        gaps += missed;
                    }
                    other => prop_assert_eq!(other, Received::Dropped),
                }
            }
            if *fate == 3 {
                gaps += missed(there.read(here.beacon()).unwrap());
            }
        }
        gaps += missed(there.read(here.beacon()).unwrap());
        let arrived = sent.iter().enumerate().filter(|(_, (_, fate))| *fate > 0);
        let expected: Vec<_> = arrived.map(|(n, _)| n as u8).collect();
        prop_assert_eq!(&delivered, &expected);
        prop_assert_eq!(delivered.len() as u64 + gaps, sent.len() as u64);
    }

    #[test]
    fn garbage_is_refused_or_read_and_never_panics(
        mut bytes: Vec<u8>, damage: Option<(prop::sample::Index, u8)>, kind in 0..4_u8,
    ) {
        let mut here = Outgoing::new(node("here"));
        let mut there = Incoming::new(node("there"));
        if let Some((at, with)) = damage {
            let _first = here.message(&Topic::Node("there".parse().unwrap()), b"one");
            let whole = [here.beacon(), here.answer(), here.question(),
                here.message(&Topic::All, b"two")];
            bytes = whole[usize::from(kind)].to_vec();
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        if let Err(error) = there.read(Bytes::from(bytes)) {
            prop_assert_eq!(error.kind(), BrokerErrorKind::InvalidMessage);
        }
    }
}
