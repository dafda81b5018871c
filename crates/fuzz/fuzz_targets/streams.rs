//! What one node sends another over a broker that loses and repeats: what comes is delivered once
//! and in order, and the rest is counted as missed, to the message.
#![no_main]

use std::sync::Arc;

use futures::{FutureExt, StreamExt};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use realtime_core::{
    Events, Incarnation,
    broker::{
        BrokerEvent, NodeInfo, Topic,
        stream::{self, Next},
    },
};

#[derive(Arbitrary, Debug)]
enum Step {
    Message {
        own: bool,
        fate: Fate,
    },
    Beacon(Fate),
    /// The sender hears that nobody listens, and lets go of the receiver's topic.
    Forget,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Fate {
    Comes,
    ComesTwice,
    IsLost,
}

impl Fate {
    fn times(self) -> usize {
        match self {
            Self::Comes => 1,
            Self::ComesTwice => 2,
            Self::IsLost => 0,
        }
    }
}

fn node(name: &str, incarnation: u64) -> NodeInfo {
    let id = name.parse().expect("a node id");
    NodeInfo::new(id, Incarnation::from_u64(incarnation))
}

fuzz_target!(|steps: Vec<Step>| {
    let receiver = node("there", 7);
    let own_topic = Topic::Node(receiver.id.clone());
    let events = Arc::new(Events::new());
    let mut heard = events.subscribe();
    let (_, mut incoming) = stream::pair(receiver, events);
    let (mut outgoing, _) = stream::pair(node("here", 9), Arc::default());
    let (mut sent, mut came, mut lost, mut missed) = (0_u64, Vec::new(), 0_u64, 0_u64);
    let mut forgets = false;
    let mut read = |bytes: &bytes::Bytes, missed: &mut u64| {
        let next = incoming.receive(bytes.clone());
        while let Some(Some(event)) = heard.next().now_or_never() {
            match event {
                BrokerEvent::Gap { missed: more, .. } => *missed += more,
                BrokerEvent::NodeUp { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        match next {
            Next::Deliver(message) => Some(message.data),
            Next::Nothing => None,
            other => panic!("{other:?}"),
        }
    };
    // From here on both know where the numbers stand.
    assert_eq!(read(&outgoing.hello().data, &mut missed), None);
    sent += 1;
    let first = outgoing.message(&own_topic, &sent.to_be_bytes());
    came.extend(read(&first, &mut missed));
    for step in &steps {
        match step {
            Step::Message { own, fate } => {
                sent += 1;
                let topic = if *own { &own_topic } else { &Topic::All };
                let bytes = outgoing.message(topic, &sent.to_be_bytes());
                lost += u64::from(fate.times() == 0);
                for turn in 0..fate.times() {
                    let data = read(&bytes, &mut missed);
                    assert_eq!(data.is_some(), turn == 0, "once");
                    came.extend(data);
                }
            }
            Step::Beacon(fate) => {
                let bytes = outgoing.hello().data;
                (0..fate.times()).for_each(|_| assert_eq!(read(&bytes, &mut missed), None));
            }
            Step::Forget => {
                forgets = true;
                outgoing.forget(&own_topic);
            }
        }
        assert!(missed <= lost, "{missed} are missed and {lost} lost");
    }
    assert_eq!(read(&outgoing.hello().data, &mut missed), None);
    sent += 1;
    let last = outgoing.message(&own_topic, &sent.to_be_bytes());
    came.extend(read(&last, &mut missed));
    assert_eq!(came.len() as u64 + lost, sent);
    assert!(came.is_sorted(), "out of order");
    assert!(
        missed <= lost && (forgets || missed == lost),
        "{missed} are missed and {lost} lost"
    );
});
