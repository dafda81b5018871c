//! What other nodes send: stamps and envelopes. Garbage is an error of its own kind, and what a
//! node counts as missed is bounded by what was announced.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use realtime_core::{
    Incarnation,
    broker::{
        BrokerErrorKind, NodeInfo,
        control::{Command, Outcome},
        envelope::Envelope,
        stream::{self, Next},
    },
};

fuzz_target!(|messages: Vec<Vec<u8>>| {
    let node = NodeInfo::new(
        "there".parse().expect("a node id"),
        Incarnation::from_u64(7),
    );
    let (_outgoing, mut incoming) = stream::pair(node.clone(), Arc::default());
    for bytes in messages {
        let _looked_at = stream::look(&node, Bytes::from(bytes.clone()));
        let body = match incoming.receive(Bytes::from(bytes.clone())) {
            Next::Deliver(message) => message.data,
            _ => Bytes::from(bytes),
        };
        match Envelope::decode(body) {
            Ok(envelope) => {
                let again = Envelope::decode(envelope.encode()).expect("what was written");
                assert_eq!(again, envelope);
                if let Ok(command) = Command::decode(envelope.body().clone()) {
                    let again = Command::decode(command.encode()).expect("what was written");
                    assert_eq!(again, command);
                }
                if let Ok(outcome) = Outcome::decode(envelope.body().clone()) {
                    let again = Outcome::decode(outcome.encode()).expect("what was written");
                    assert_eq!(again, outcome);
                }
            }
            Err(error) => assert_eq!(error.kind(), BrokerErrorKind::InvalidMessage),
        }
    }
});
