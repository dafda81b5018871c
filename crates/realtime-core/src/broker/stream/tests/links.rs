//! Links on which nothing comes back.

use tokio::time::{advance, timeout};

use super::*;

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
