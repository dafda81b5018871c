//! Who is there, who is gone, and who has the name of another.

use tokio::time::advance;

use super::*;

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
