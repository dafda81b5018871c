//! What compression costs in memory, by counting allocations.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use allocation_counter::{AllocationInfo, measure};
use miniz_oxide::deflate::compress_to_vec;
use realtime_websocket::{
    Event, Kind, Limits, Role,
    deflate::{Agreed, Compressor, InflatingDecoder, Level, Policy, SpareInflater, Window},
    frame,
};

const KEY: [u8; 4] = [1, 2, 3, 4];

fn agreed(policy: Policy) -> Agreed {
    let answer = policy.answer([policy.offer().as_bytes()]).unwrap();
    answer.agreed()
}

fn takeover() -> Policy {
    Policy::default()
        .with_send_takeover(true)
        .with_receive_takeover(true)
}

fn decoder(policy: Policy, limits: Limits) -> InflatingDecoder {
    InflatingDecoder::new(Role::Server, limits, Some(agreed(policy)))
}

fn text(size: usize) -> Vec<u8> {
    b"so much ado about nothing, "
        .iter()
        .copied()
        .cycle()
        .take(size)
        .collect()
}

fn sent(size: usize) -> Vec<u8> {
    let mut compressor = Compressor::new(Level::default());
    compressor
        .client_frame(Kind::Text, &text(size), KEY)
        .to_vec()
}

/// What zlib-rs allocates is its own affair, and may change by a little.
#[track_caller]
fn assert_about(measured: i64, said: usize) {
    let said = said as i64;
    let is_about = (measured - said).abs() <= said / 8;
    assert!(is_about, "{measured} bytes, where it says {said}");
}

/// What decoding these bytes costs, while its event is kept.
fn cost(
    decoder: &mut InflatingDecoder,
    sent: &[u8],
    spare: &mut SpareInflater,
) -> (AllocationInfo, Event) {
    let mut event = Ok(None);
    let info = measure(|| event = decoder.decode_with(&mut &sent[..], spare));
    (info, event.unwrap().unwrap())
}

#[test]
fn a_message_costs_itself_and_what_was_sent_and_nothing_is_kept() {
    let mut spare = SpareInflater::new();
    let mut decoder = decoder(Policy::default(), Limits::default());
    cost(&mut decoder, &sent(1_000), &mut spare);
    for size in [512, 1_000, 8_000] {
        let sent = sent(size);
        let (info, event) = cost(&mut decoder, &sent, &mut spare);
        assert!(matches!(event, Event::Text(text) if text.len() == size));
        assert_eq!(info.count_total, 2, "{size}: {info:?}");
        assert!(
            info.bytes_total as usize <= size + sent.len().max(64),
            "{info:?}"
        );
        assert_eq!(info.bytes_current as usize, size, "{info:?}");
        assert_eq!((decoder.buffered(), decoder.retained()), (0, 0));
    }
}

#[test]
fn what_is_said_of_an_inflater_is_so() {
    let mut spare = SpareInflater::new();
    let mut one = decoder(Policy::default(), Limits::default());
    let (info, _event) = cost(&mut one, &sent(1_000), &mut spare);
    assert_about(info.bytes_current - 1_000, spare.memory());
    assert_about(56_000, spare.memory());

    let mut spare = SpareInflater::new();
    let mut one = decoder(takeover(), Limits::default());
    let (info, _event) = cost(&mut one, &sent(1_000), &mut spare);
    assert_about(info.bytes_current - 1_000, one.retained());
    assert_eq!((one.buffered(), spare.memory()), (0, 0));

    let mut without = decoder(Policy::default(), Limits::default());
    let mut event = Ok(None);
    let info = measure(|| event = without.decode(&mut &sent(1_000)[..]));
    assert!(event.is_ok());
    assert_eq!(info.bytes_current, 1_000, "nothing stays");
}

#[test]
fn a_bomb_costs_at_most_twice_the_limit_and_an_inflater() {
    const LIMIT: usize = 256 * 1024;
    let sent = {
        let data = compress_to_vec(&vec![0; 16 << 20], 9);
        assert!(data.len() < 17_000, "{}", data.len());
        // Binary, and compressed.
        frame::fragment(0x42, true, &data, Some(KEY))
    };
    for policy in [Policy::default(), takeover()] {
        let mut decoder = decoder(policy, Limits::default().with_message(LIMIT)).with_ratio(None);
        let mut spare = SpareInflater::new();
        let info = measure(|| {
            assert!(decoder.decode_with(&mut &sent[..], &mut spare).is_err());
        });
        // A buffer that grows is there twice while it does. What waits is a 32nd, and 4 KiB.
        let beside = 2 * (LIMIT / 32 + 4 * 1024) + 64 * 1024;
        assert!(info.bytes_max as usize <= 2 * LIMIT + beside, "{info:?}");
    }
}

#[test]
fn what_is_said_of_a_compressor_is_so() {
    for bits in 9..=15 {
        let policy = Policy::default().with_send_window(Window::new(bits).unwrap());
        let mut compressor = None;
        let info = measure(|| {
            let flow = agreed(policy).send.unwrap();
            compressor = Some(Compressor::with_flow(flow, Level::default()));
        });
        let compressor = compressor.unwrap();
        assert_about(info.bytes_current, compressor.memory());
    }
}

#[test]
fn a_compressed_frame_is_one_allocation_of_its_size() {
    let mut compressor = Compressor::new(Level::default());
    let text = text(20_000);
    let _first = compressor.server_frame(Kind::Text, &text);
    let mut frame = Default::default();
    let info = measure(|| frame = compressor.server_frame(Kind::Text, &text));
    assert_eq!(
        (info.count_total, info.bytes_total),
        (1, frame.len() as u64)
    );

    let numbers: String = (0..200_000).map(|n| n.to_string()).collect();
    assert!(numbers.len() > 800_000);
    let frame = compressor.server_frame(Kind::Text, numbers.as_bytes());
    assert!(frame.len() < numbers.len() / 2);
    assert!(compressor.memory() < 400_000, "the buffer isn't kept");
}

#[test]
fn an_idle_decoder_is_small() {
    let size = size_of::<InflatingDecoder>();
    assert!(size <= 160, "{size}");
}
