//! What a decoder holds, and where it finds the close frame.

use super::*;
use crate::frame;

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn server() -> Decoder {
    Decoder::new(Role::Server, Limits::default())
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 96, "{}", size_of::<Decoder>());
    assert_eq!((server().buffered(), server().is_assembling()), (0, false));
}

#[test]
fn it_is_assembling_from_the_first_byte_to_the_last() {
    let mut decoder = server();
    for frame in [
        frame::fragment(1, false, b"ab", KEY),
        frame::fragment(9, true, b"p", KEY),
        frame::fragment(0, true, b"c", KEY),
    ] {
        for byte in &frame {
            decoder.decode(&mut &[*byte][..]).unwrap();
            let last = frame[0] == 0x80 && byte == &frame[frame.len() - 1];
            assert_eq!(decoder.is_assembling(), !last);
        }
    }
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn memory_follows_the_bytes_and_ends_at_what_was_announced() {
    const SIZE: usize = 100_000;
    let sent = frame::fragment(2, true, &vec![7; SIZE], KEY);
    let mut decoder = server();
    for (i, piece) in sent.chunks(1000).enumerate() {
        decoder.decode(&mut &piece[..]).unwrap();
        let held = decoder.buffered();
        assert!(held <= (2 * 1000 * (i + 1)).min(SIZE), "{held} after {i}");
    }
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn fragments_hold_no_more_than_the_limit() {
    let mut decoder = Decoder::new(Role::Server, Limits::default().with_message(1000));
    let mut first = 2;
    for _ in 0..10 {
        let sent = frame::fragment(first, false, &[7; 100], KEY);
        decoder.decode(&mut &sent[..]).unwrap();
        first = 0;
        assert!(decoder.buffered() <= 1000, "{}", decoder.buffered());
    }
}

#[test]
fn nothing_is_held_after_a_violation() {
    let mut decoder = server();
    let sent = [
        frame::fragment(2, false, &[7; 100], KEY),
        frame::fragment(1, true, b"", KEY),
    ];
    let sent = sent.concat();
    let refused = decoder.decode(&mut &sent[..]);
    assert_eq!(refused, Err(Violation::UnfinishedMessage));
    assert_eq!((decoder.buffered(), decoder.is_assembling()), (0, false));
    let mut late = &frame::fragment(1, true, b"late", KEY)[..];
    assert_eq!(decoder.decode(&mut late), Ok(None));
    assert!(late.is_empty());
}

#[test]
fn a_message_over_the_limits_is_followed_to_the_close_frame() {
    let limits = Limits::default().with_message(1_000);
    let close = frame::fragment(8, true, &1009u16.to_be_bytes(), KEY);
    let whole = frame::fragment(2, true, &[7; 1_001], KEY).to_vec();
    let parts = [
        frame::fragment(1, false, &[7; 900], KEY),
        frame::fragment(9, true, b"ping", KEY),
        frame::fragment(0, false, &[7; 101], KEY),
        frame::fragment(0, true, b"\xff", KEY),
    ];
    let many = frame::fragment(0, false, b"", KEY).repeat(limits.max_fragments);
    let many = [&frame::fragment(1, false, b"", KEY), &many[..]].concat();
    for too_much in [whole, parts.concat(), many] {
        let sent = [&too_much[..], &close].concat();
        for size in [1, 7, 500, sent.len()] {
            let mut decoder = Decoder::new(Role::Server, limits);
            let (mut violations, mut is_closed) = (0, false);
            for mut piece in sent.chunks(size) {
                while !piece.is_empty() {
                    match decoder.decode(&mut piece) {
                        Err(violation) => {
                            assert!([1008, 1009].contains(&violation.close_code()));
                            violations += 1;
                        }
                        Ok(event) => is_closed |= matches!(event, Some(Event::Close(_))),
                    }
                    assert!(violations == 0 || decoder.data.is_empty());
                }
            }
            assert_eq!((violations, is_closed), (1, true), "in pieces of {size}");
        }
    }
}

#[test]
fn a_scout_finds_the_control_frames_wherever_its_decoder_stands() {
    let sent = [
        frame::fragment(1, false, b"ab", KEY),
        frame::fragment(9, true, b"one", KEY),
        frame::fragment(0, true, b"c", KEY),
        frame::fragment(2, true, &[7; 300], KEY),
        frame::fragment(10, true, b"two", KEY),
        frame::fragment(8, true, &1000u16.to_be_bytes(), KEY),
    ];
    let sent = sent.concat();
    let events = |decoder: &mut Decoder, mut input: &[u8]| {
        let mut events = Vec::new();
        while let Some(event) = decoder.decode(&mut input).unwrap() {
            events.push(event);
        }
        events
    };
    let controls = |events: Vec<Event>| {
        let is_control = |e: &Event| !matches!(e, Event::Text(_) | Event::Binary(_));
        events.into_iter().filter(is_control).collect::<Vec<_>>()
    };
    for at in 0..=sent.len() {
        let (before, after) = sent.split_at(at);
        let mut decoder = server();
        events(&mut decoder, before);
        let found = events(&mut decoder.scout(), after);
        assert_eq!(found, controls(events(&mut decoder, after)), "{at}");
    }
}

#[test]
fn the_close_frame_is_found_behind_a_violation_that_is_not_in_a_header() {
    let limits = Limits::default().with_message(100).with_fragments(1);
    let close = frame::fragment(8, true, &1000u16.to_be_bytes(), KEY);
    for (refused, found) in [
        (frame::fragment(2, true, &[7; 300], KEY), true),
        (frame::fragment(1, true, b"not \xff UTF-8", KEY), true),
        (frame::fragment(1, false, b"not \xff UTF-8", KEY), true),
        (frame::fragment(0, true, b"continued", KEY), true),
        (frame::fragment(2, true, b"no mask", None), false),
        (frame::fragment(3, true, b"no opcode", KEY), false),
        (frame::fragment(8, true, &1005u16.to_be_bytes(), KEY), false),
    ] {
        let sent = [
            &refused[..],
            &frame::fragment(1, true, b"more", KEY),
            &close,
        ]
        .concat();
        for cut in 1..=sent.len() {
            let mut decoder = Decoder::new(Role::Server, limits);
            let mut heard = Vec::new();
            for mut piece in sent.chunks(cut) {
                while !piece.is_empty() {
                    heard.extend(decoder.decode(&mut piece).transpose());
                }
            }
            let closed = matches!(heard.last(), Some(Ok(Event::Close(Some(_)))));
            assert_eq!(
                (closed, heard.len()),
                (found, 1 + usize::from(found)),
                "{heard:?}"
            );
            assert!(decoder.is_done());
            assert_eq!(decoder.buffered(), 0);
        }
    }
}

#[test]
fn what_is_discarded_is_followed_to_the_close_frame_without_being_kept() {
    let mut decoder = Decoder::new(Role::Server, Limits::default().with_message(1_000));
    let sent = [
        frame::fragment(2, false, &[7; 900], KEY),
        frame::fragment(0, true, &[7; 90_000], KEY),
        frame::fragment(1, true, b"text that is \xff not UTF-8", KEY),
        frame::fragment(9, true, b"ping", KEY),
        frame::fragment(8, true, &1000u16.to_be_bytes(), KEY),
    ];
    let sent = sent.concat();
    let (begun, mut rest) = sent.split_at(500);
    decoder.decode(&mut &begun[..]).unwrap();
    assert!(decoder.buffered() > 0);
    decoder.discard_messages();
    assert_eq!(decoder.buffered(), 0);
    let mut events = Vec::new();
    while let Some(event) = decoder.decode(&mut rest).unwrap() {
        assert_eq!(decoder.buffered(), 0);
        events.push(event);
    }
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(matches!(events[1], Event::Close(Some(_))));
    assert_eq!(decoder.discarded(), 2);
}
