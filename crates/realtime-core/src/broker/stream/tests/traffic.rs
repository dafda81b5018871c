//! How much is said, and how soon, in a cluster of many.

use tokio::time::advance;

use super::*;
use crate::NodeId;

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
