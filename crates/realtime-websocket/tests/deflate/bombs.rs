//! What comes out is limited while it does.

use proptest::prelude::*;
use realtime_websocket::{Event, Limits, Violation, deflate::Policy};

use crate::peers::{BINARY, Miniz, TEXT, decode, f, json, noise, server_with, takeover};

fn limits(message: usize) -> Limits {
    Limits::default().with_message(message)
}

#[test]
fn ten_kilobytes_that_stand_for_ten_megabytes_stop_at_the_limit() {
    let bomb = Miniz::new(9).message(&vec![0; 11 << 20]);
    assert!(bomb.len() < 16_000, "{}", bomb.len());
    let sent = f(BINARY, true, &bomb);
    const LIMIT: usize = 1 << 20;
    for policy in [Policy::default(), takeover()] {
        for size in [1, 1_000, sent.len()] {
            let mut server = server_with(policy, limits(LIMIT)).with_ratio(None);
            let (mut most, mut refused) = (0, None);
            for mut piece in sent.chunks(size) {
                match server.decode(&mut piece) {
                    Ok(event) => assert_eq!(event, None),
                    Err(violation) => {
                        refused = Some(violation);
                        break;
                    }
                }
                most = most.max(server.buffered());
            }
            assert_eq!(refused, Some(Violation::TooBig { limit: LIMIT }));
            assert!(most <= LIMIT + 64 * 1024, "{most}");
            assert_eq!((server.buffered(), server.retained()), (0, 0));
        }
    }
}

#[test]
fn the_limit_is_that_of_what_comes_out_to_the_byte() {
    for (data, size) in [(json(100_000), 100_000), (noise(100_000), 100_000)] {
        for level in [0, 1, 9] {
            let sent = f(BINARY, true, &Miniz::new(level).message(&data));
            let heard = decode(
                &mut server_with(Policy::default(), limits(size)),
                [&sent[..]],
            );
            assert_eq!(heard, (vec![Event::Binary(data.clone().into())], None));
            let refused = decode(
                &mut server_with(Policy::default(), limits(size - 1)),
                [&sent[..]],
            );
            let limit = size - 1;
            assert_eq!(refused, (vec![], Some(Violation::TooBig { limit })));
        }
    }
    let nothing = f(TEXT, true, &[0]);
    let heard = decode(
        &mut server_with(Policy::default(), limits(0)),
        [&nothing[..]],
    );
    assert_eq!(heard, (vec![Event::Text(String::new())], None));
}

#[test]
fn what_is_sent_for_a_message_is_limited_too() {
    // Blocks without data, which stand for nothing.
    let empty = b"\x00\x00\x00\xff\xff".repeat(1_000);
    let heard = decode(
        &mut server_with(Policy::default(), limits(10_000)),
        [&f(BINARY, true, &[&empty[..], &[0]].concat())[..]],
    );
    assert_eq!(heard, (vec![Event::Binary("".into())], None));
    let limit = 1_000;
    let refused = Some(Violation::TooBig { limit });
    let whole = f(BINARY, true, &empty);
    let header = decode(
        &mut server_with(Policy::default(), limits(limit)),
        [&whole[..8]],
    );
    assert_eq!(header, (vec![], refused));
    let parts = [f(BINARY, false, &empty[..800]), f(0, true, &empty[..800])].concat();
    let heard = decode(
        &mut server_with(Policy::default(), limits(limit)),
        [&parts[..]],
    );
    assert_eq!(heard, (vec![], refused));
}

#[test]
fn a_message_that_is_too_much_larger_than_what_was_sent_is_refused() {
    let sent = |size: usize| f(BINARY, true, &Miniz::new(9).message(&vec![0; size]));
    let hear = |ratio, size: usize| {
        let mut server = server_with(Policy::default(), Limits::default()).with_ratio(ratio);
        decode(&mut server, [&sent(size)[..]])
    };
    let zeros = |size: usize| (vec![Event::Binary(vec![0; size].into())], None);
    assert_eq!(hear(Some(256), 65_536), zeros(65_536), "small ones may be");
    let refused = Some(Violation::Ratio { limit: 256 });
    assert_eq!(hear(Some(256), 500_000), (vec![], refused));
    assert_eq!(hear(None, 500_000), zeros(500_000));
    assert_eq!(hear(Some(1_032), 500_000), zeros(500_000));
    assert_eq!(Violation::Ratio { limit: 256 }.close_code(), 1008);

    // It is that of the whole: what begins like a bomb may go on otherwise.
    let mixed = [vec![0; 1_500_000], noise(20_000)].concat();
    let data = Miniz::new(9).message(&mixed);
    for size in [1, 5_000, data.len()] {
        let mut server = server_with(Policy::default(), limits(4 << 20));
        let heard = decode(&mut server, f(BINARY, true, &data).chunks(size));
        // Not shown: it is long.
        assert!(heard == (vec![Event::Binary(mixed.clone().into())], None));
    }

    // The default lets pass what compresses well without being made for it.
    let text = json(1_000_000);
    let data = Miniz::new(9).message(&text);
    let mut server = server_with(Policy::default(), Limits::default());
    let heard = decode(&mut server, [&f(BINARY, true, &data)[..]]);
    assert_eq!(heard, (vec![Event::Binary(text.into())], None));
}

#[test]
fn a_limit_that_is_none_is_one_of_all_that_there_is() {
    let text = json(300_000);
    let sent = f(BINARY, true, &Miniz::new(6).message(&text));
    for limit in [usize::MAX, usize::MAX - 1, usize::MAX / 2] {
        let mut server = server_with(Policy::default(), limits(limit));
        let heard = decode(&mut server, sent.chunks(1_000));
        assert_eq!(heard, (vec![Event::Binary(text.clone().into())], None));
    }
}

#[test]
fn a_little_of_a_bomb_does_not_pin_much() {
    const SIZE: usize = 16 << 20;
    let sent = f(BINARY, true, &Miniz::new(9).message(&vec![0; SIZE]));
    assert!(sent.len() > 8_192, "{}", sent.len());
    for ratio in [None, Some(2_000), Some(10)] {
        for policy in [Policy::default(), takeover()] {
            let mut server = server_with(policy, limits(SIZE)).with_ratio(ratio);
            let (mut came, mut events) = (0, Vec::new());
            for mut piece in sent.chunks(100) {
                came += piece.len();
                let heard = server.decode(&mut piece);
                // Twice what came and 32 times as much, since buffers grow by doubling.
                let most = 2 * 33 * came + 4_096 + 57_000;
                assert!(server.buffered() <= most, "{} at {came}", server.buffered());
                events.extend(heard.transpose());
            }
            assert_eq!(came, sent.len());
            match (&events[..], ratio) {
                ([Ok(Event::Binary(data))], None | Some(2_000)) => assert_eq!(data.len(), SIZE),
                ([Err(Violation::Ratio { limit: 10 })], Some(10)) => {}
                _ => panic!("{ratio:?}: {} events", events.len()),
            }
            assert_eq!(server.buffered(), 0);
        }
    }
}

#[test]
fn what_is_inflated_does_not_wait_as_well() {
    const LIMIT: usize = 1 << 20;
    let said = noise(LIMIT);
    let sent = f(BINARY, true, &Miniz::new(6).message(&said));
    let mut server = server_with(Policy::default(), limits(LIMIT));
    let mut events = Vec::new();
    for mut piece in sent.chunks(1_000) {
        events.extend(server.decode(&mut piece).unwrap());
        let held = server.buffered();
        assert!(held <= LIMIT + 4_096 + 57_000, "{held}");
    }
    // Not shown: it is long.
    assert!(events == [Event::Binary(said.into())]);
}

#[test]
fn a_message_that_waits_holds_no_inflater_until_there_is_something_to_inflate() {
    let data = Miniz::new(6).message(&noise(100_000));
    let mut server = server_with(Policy::default(), Limits::default());
    let sent = f(BINARY, true, &data);
    let (mut few, mut more) = (&sent[..4_000], &sent[4_000..9_000]);
    assert_eq!(server.decode(&mut few), Ok(None));
    assert!(server.buffered() <= 4_096, "{}", server.buffered());
    assert_eq!(server.decode(&mut more), Ok(None));
    assert!(server.buffered() > 50_000, "{}", server.buffered());
    assert!(server.is_assembling());
    server.discard_messages();
    assert_eq!(server.buffered(), 0);
    assert_eq!(server.decode(&mut &sent[9_000..]), Ok(None));
    assert_eq!((server.buffered(), server.discarded()), (0, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// What may come out, what waits, and an inflater.
    #[test]
    fn memory_stays_under_the_limit_whatever_is_sent(
        data in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            (any::<u8>(), 0..300_000usize).prop_map(|(byte, n)| Miniz::new(9).message(&vec![byte; n])),
            (0..60_000usize).prop_map(|n| Miniz::new(1).message(&json(n))),
        ],
        limit in 0..20_000usize,
        step in 1..3_000usize,
    ) {
        let mut server = server_with(Policy::default(), limits(limit)).with_ratio(None);
        for mut piece in f(BINARY, true, &data).chunks(step) {
            let heard = server.decode(&mut piece);
            if let Ok(Some(Event::Binary(data))) = &heard {
                prop_assert!(data.len() <= limit);
            }
            prop_assert!(server.buffered() <= limit + 4_096 + 57_000, "{}", server.buffered());
            if heard.is_err() {
                prop_assert_eq!(server.buffered(), 0);
                break;
            }
        }
    }
}
