//! What a frame costs. A server's memory is the sum of what its connections hold.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use allocation_counter::{AllocationInfo, measure};
use realtime_websocket::{
    Decoder, Event, Kind, Limits, Role,
    frame::{self, Opcode},
};

const KEY: [u8; 4] = [1, 2, 3, 4];

/// What decoding these bytes costs, while its event is kept.
fn cost(sent: &[u8]) -> AllocationInfo {
    let mut event = Ok(None);
    let info = measure(|| {
        let mut decoder = Decoder::new(Role::Server, Limits::default());
        event = decoder.decode(&mut &sent[..]);
    });
    assert!(matches!(event, Ok(Some(_))));
    info
}

fn client(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame::client_frame(true, opcode, payload, KEY).to_vec()
}

#[test]
fn a_frame_that_lies_whole_costs_one_allocation_of_its_size() {
    for size in [1, 125, 126, 1000, 65_536, 1 << 20] {
        for opcode in [Opcode::Text, Opcode::Binary, Opcode::Ping, Opcode::Pong] {
            if opcode.is_control() && size > 125 {
                continue;
            }
            let cost = cost(&client(opcode, &vec![b'a'; size]));
            assert_eq!(
                (cost.count_total, cost.bytes_total),
                (1, size as u64),
                "{opcode:?}"
            );
        }
    }
    let why = frame::close_payload(1000, "bye");
    assert_eq!(cost(&client(Opcode::Close, &why)).count_total, 1);
}

#[test]
fn an_empty_frame_costs_nothing() {
    for opcode in [
        Opcode::Text,
        Opcode::Binary,
        Opcode::Ping,
        Opcode::Pong,
        Opcode::Close,
    ] {
        assert_eq!(cost(&client(opcode, b"")).count_total, 0, "{opcode:?}");
    }
}

#[test]
fn what_is_announced_is_not_allocated() {
    let sent = client(Opcode::Binary, &vec![0; 1 << 20]);
    let info = measure(|| {
        let mut decoder = Decoder::new(Role::Server, Limits::default());
        assert_eq!(decoder.decode(&mut &sent[..20]), Ok(None));
        assert!(decoder.is_assembling());
        assert!(decoder.buffered() <= 64);
    });
    assert!(info.bytes_total <= 64, "{info:?}");
}

#[test]
fn small_pieces_cost_few_allocations() {
    let sent = client(Opcode::Binary, &vec![0; 1 << 20]);
    let info = measure(|| {
        let mut decoder = Decoder::new(Role::Server, Limits::default());
        let last = sent
            .chunks(10)
            .map(|mut piece| decoder.decode(&mut piece))
            .last();
        assert!(matches!(last, Some(Ok(Some(Event::Binary(_))))));
    });
    assert!(info.count_total <= 20, "{info:?}");
    assert!(info.bytes_max <= 2 << 20, "{info:?}");
}

#[test]
fn a_frame_is_built_in_one_allocation_of_its_size() {
    for size in [0, 1, 125, 126, 65_535, 65_536] {
        let payload = vec![7; size];
        let mut built = Default::default();
        let cost = measure(|| built = frame::server_frame(Kind::Binary, &payload));
        assert_eq!(
            (cost.count_total, cost.bytes_total),
            (1, built.len() as u64)
        );
        let cost = measure(|| built = frame::client_frame(true, Kind::Binary, &payload, KEY));
        assert_eq!(
            (cost.count_total, cost.bytes_total),
            (1, built.len() as u64)
        );
    }
    let mut header = None;
    let cost = measure(|| header = Some(frame::header(true, Kind::Binary, 1000, None)));
    assert_eq!((cost.count_total, header.map(|h| h.len())), (0, Some(4)));
}
