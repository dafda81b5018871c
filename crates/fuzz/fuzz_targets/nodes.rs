//! What other nodes send: stamps and envelopes. Garbage is an error of its own kind, and what a
//! node counts as missed is bounded by what was announced.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use realtime_core::{
    Incarnation,
    broker::{
        BrokerErrorKind, NodeInfo,
        envelope::Envelope,
        stream::{Incoming, Received},
    },
};

fuzz_target!(|messages: Vec<Vec<u8>>| {
    let node = NodeInfo::new(
        "there".parse().expect("a node id"),
        Incarnation::from_u64(7),
    );
    let mut incoming = Incoming::new(node);
    for bytes in messages {
        let body = match incoming.read(Bytes::from(bytes.clone())) {
            Ok(Received::Message { message, .. }) => message.data,
            Ok(_) => Bytes::from(bytes),
            Err(error) => {
                assert_eq!(error.kind(), BrokerErrorKind::InvalidMessage);
                Bytes::from(bytes)
            }
        };
        match Envelope::decode(body) {
            Ok(envelope) => {
                let again = Envelope::decode(envelope.encode()).expect("what was written");
                assert_eq!(again, envelope);
            }
            Err(error) => assert_eq!(error.kind(), BrokerErrorKind::InvalidMessage),
        }
    }
});
