//! The RFC's own examples, and what it forbids.

use realtime_websocket::{
    Event, Limits, Role, Violation,
    deflate::{InflatingDecoder, Policy},
};

use crate::peers::{BINARY, Miniz, TEXT, decode, f, server, server_with, takeover};

const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

fn hello() -> Event {
    Event::Text("Hello".into())
}

/// RFC 7692, section 7.2.3.
#[test]
fn the_examples_of_the_rfc_are_read() {
    let one_block = f(TEXT, true, &HELLO);
    let two_frames = [f(TEXT, false, &HELLO[..3]), f(0, true, &HELLO[3..])].concat();
    let stored = f(TEXT, true, b"\x00\x05\x00\xfa\xffHello\x00");
    let last = f(TEXT, true, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
    let two_blocks = f(
        TEXT,
        true,
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    );
    for policy in [Policy::default(), takeover()] {
        for sent in [&one_block, &two_frames, &stored, &last, &two_blocks] {
            // Twice: what one leaves must not disturb the next.
            let sent = sent.repeat(2);
            for size in [1, 3, sent.len()] {
                let mut server = server_with(policy, Limits::default());
                let heard = decode(&mut server, sent.chunks(size));
                assert_eq!(heard, (vec![hello(), hello()], None), "{sent:x?}");
                assert_eq!(server.buffered(), 0);
            }
        }
    }

    // With what came before.
    let again = [
        f(TEXT, true, &HELLO),
        f(TEXT, true, b"\xf2\x00\x11\x00\x00"),
    ]
    .concat();
    let mut server_with = server_with(takeover(), Limits::default());
    assert_eq!(
        decode(&mut server_with, [&again[..]]),
        (vec![hello(), hello()], None)
    );
    let without = decode(&mut server(), [&again[..]]);
    assert_eq!(without, (vec![hello()], Some(Violation::BadDeflate)));

    let empty = f(TEXT, true, &[0]);
    let heard = decode(&mut server(), [&empty[..]]);
    assert_eq!(heard, (vec![Event::Text(String::new())], None));
}

#[test]
fn nothing_may_stand_for_nothing() {
    let sent = [
        f(TEXT, true, b""),
        f(BINARY, false, b""),
        f(0, true, b""),
        f(TEXT, true, &HELLO),
    ]
    .concat();
    for policy in [Policy::default(), takeover()] {
        let heard = decode(&mut server_with(policy, Limits::default()), [&sent[..]]);
        let events = vec![
            Event::Text(String::new()),
            Event::Binary("".into()),
            hello(),
        ];
        assert_eq!(heard, (events, None));
    }
}

/// The close code with which a server that has agreed refuses `bytes`, however they come.
fn refused(bytes: &[u8]) -> Option<u16> {
    let code = |size| {
        let (_, violation) = decode(&mut server(), bytes.chunks(size));
        violation.map(|violation| violation.close_code())
    };
    let whole = code(bytes.len());
    assert_eq!(code(1), whole);
    whole
}

#[test]
fn what_is_forbidden_has_its_close_code() {
    let compressed = |text: &[u8]| Miniz::new(6).message(text);
    let cut_off = |data: &[u8]| f(BINARY, true, &data[..data.len() - 1]);
    let long = Miniz::new(9).message(&crate::peers::json(10_000));
    let rows: Vec<(&str, Vec<u8>, Option<u16>)> = vec![
        ("plain", f(1, true, b"x"), None),
        ("RSV1 on a ping", f(0x49, true, b""), Some(1002)),
        ("RSV1 on a pong", f(0x4a, true, b""), Some(1002)),
        ("RSV1 on a close", f(0x48, true, b""), Some(1002)),
        ("RSV2", f(0x21, true, b"x"), Some(1002)),
        ("RSV3", f(0x11, true, b"x"), Some(1002)),
        ("RSV1 and RSV2", f(0x61, true, &HELLO), Some(1002)),
        (
            "RSV1 on a reserved opcode",
            f(0x43, true, &HELLO),
            Some(1002),
        ),
        (
            "RSV1 on a continuation out of nothing",
            f(0x40, true, &HELLO),
            Some(1002),
        ),
        (
            "RSV1 on a continuation",
            [f(TEXT, false, &HELLO[..3]), f(0x40, true, &HELLO[3..])].concat(),
            Some(1002),
        ),
        (
            "RSV1 on the continuation of what is plain",
            [f(1, false, b"x"), f(0x40, true, &HELLO)].concat(),
            Some(1002),
        ),
        (
            "a new message inside a compressed one",
            [f(TEXT, false, &HELLO), f(TEXT, true, &HELLO)].concat(),
            Some(1002),
        ),
        (
            "a plain message inside a compressed one",
            [f(TEXT, false, &HELLO), f(1, true, b"x")].concat(),
            Some(1002),
        ),
        ("no mask", [&[0xc1, 7][..], &HELLO].concat(), Some(1002)),
        ("no DEFLATE data", f(TEXT, true, &[0xff; 20]), Some(1007)),
        (
            "a reserved kind of block",
            f(TEXT, true, &[0x06, 0]),
            Some(1007),
        ),
        (
            "a wrong length",
            f(TEXT, true, b"\x00\x05\x00\xfa\xfeHello\x00"),
            Some(1007),
        ),
        (
            "too far back",
            f(TEXT, true, b"\xf2\x00\x11\x00\x00"),
            Some(1007),
        ),
        (
            "a stored block cut off",
            f(TEXT, true, b"\x00\x05\x00\xfa\xffHel"),
            Some(1007),
        ),
        ("a block cut off", cut_off(&HELLO), Some(1007)),
        (
            "a code table cut off",
            f(BINARY, true, &long[..20]),
            Some(1007),
        ),
        (
            "codes cut off",
            f(BINARY, true, &long[..long.len() / 2]),
            Some(1007),
        ),
        ("a long message cut off", cut_off(&long), Some(1007)),
        (
            "no DEFLATE data behind a last block",
            f(TEXT, true, b"\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff\xff"),
            Some(1007),
        ),
        (
            "a last block at the end",
            f(TEXT, true, b"\xf3\x48\xcd\xc9\xc9\x07\x00"),
            None,
        ),
        ("not UTF-8", f(TEXT, true, &compressed(b"\xff")), Some(1007)),
        (
            "UTF-8 cut off",
            f(TEXT, true, &compressed(b"\xe2\x82")),
            Some(1007),
        ),
        (
            "bytes need not be UTF-8",
            f(BINARY, true, &compressed(b"\xff")),
            None,
        ),
    ];
    for (what, bytes, code) in rows {
        assert_eq!(refused(&bytes), code, "{what}");
    }
}

#[test]
fn data_may_end_within_a_message_but_not_at_every_other_byte() {
    let read = |data: &[u8]| decode(&mut server(), [&f(BINARY, true, data)[..]]);
    let empty = |ends: usize| b"\x03\x00".repeat(ends);
    let nothing = (vec![Event::Binary("".into())], None);
    let refused = (vec![], Some(Violation::BadDeflate));
    for ends in [1, 15, 16] {
        assert_eq!(read(&empty(ends)), nothing, "{ends}");
        // Our own end isn't counted.
        assert_eq!(read(&[empty(ends), vec![0]].concat()), nothing, "{ends}");
    }
    assert_eq!(read(&empty(17)), refused);

    // Beside one for each 64 bytes.
    let part = Miniz::new(6).last(&crate::peers::noise(100));
    let whole = vec![Event::Binary(crate::peers::noise(100).repeat(900).into())];
    assert_eq!(read(&part.repeat(900)), (whole, None));

    // Found while it comes, and counted anew for each message.
    let many = f(BINARY, true, &empty(1 << 19));
    assert_eq!(decode(&mut server(), [&many[..5_000]]), refused);
    let messages = f(BINARY, true, &empty(16)).repeat(10);
    for policy in [Policy::default(), takeover()] {
        let heard = decode(&mut server_with(policy, Limits::default()), [&messages[..]]);
        assert_eq!(heard, (vec![Event::Binary("".into()); 10], None));
    }
}

#[test]
fn what_is_cut_off_anywhere_is_refused() {
    for level in [1, 6, 9] {
        let long = Miniz::new(level).message(&crate::peers::json(10_000));
        let passes = |policy, length: usize| {
            let sent = f(BINARY, true, &long[..length]);
            let mut server = server_with(policy, Limits::default());
            let (_, violation) = decode(&mut server, [&sent[..]]);
            assert!(violation.is_none_or(|violation| violation == Violation::BadDeflate));
            violation.is_none()
        };
        for length in 1..long.len() {
            assert!(!passes(Policy::default(), length), "{length}");
        }
        // With takeover nothing can be put behind a message that would have to come next. So it is
        // not noticed in a code table, which is at the front.
        let passed: Vec<_> = (1..long.len())
            .filter(|length| passes(takeover(), *length))
            .collect();
        assert!(passed.last().is_none_or(|last| *last < 80), "{passed:?}");
    }
}

#[test]
fn without_agreement_no_bit_may_be_set() {
    let sent = f(TEXT, true, &HELLO);
    let mut server = InflatingDecoder::new(Role::Server, Limits::default(), None);
    let heard = decode(&mut server, [&sent[..]]);
    assert_eq!(heard, (vec![], Some(Violation::ReservedBit)));
}

#[test]
fn the_first_byte_that_shows_it_is_enough() {
    for first in [0xc9, 0xc0, 0xe1, 0xd2, 0xc3] {
        let heard = decode(&mut server(), [&[first][..]]);
        assert_eq!(heard, (vec![], Some(Violation::ReservedBit)), "{first:x}");
    }
}

#[test]
fn text_that_goes_wrong_early_is_refused_before_it_has_come() {
    let mut text = crate::peers::noise(200_000);
    text[0] = 0xff;
    let data = Miniz::new(6).message(&text);
    let sent = f(TEXT, true, &data);
    let heard = decode(&mut server(), [&sent[..8_192]]);
    assert_eq!(heard, (vec![], Some(Violation::BadUtf8)));
}

#[test]
fn a_character_may_be_cut_anywhere_and_control_frames_may_stand_between() {
    let text = "€😀ä".repeat(5_000);
    let data = Miniz::new(1).message(text.as_bytes());
    let mut sent = Vec::new();
    let pieces: Vec<_> = data.chunks(data.len() / 7).collect();
    for (i, piece) in pieces.iter().enumerate() {
        let opcode = if i == 0 { TEXT } else { 0 };
        sent.extend(f(opcode, i + 1 == pieces.len(), piece));
        if i == 2 {
            sent.extend(f(9, true, b"ping"));
        }
    }
    for size in [1, 7, sent.len()] {
        let heard = decode(&mut server(), sent.chunks(size));
        let events = vec![Event::Ping("ping".into()), Event::Text(text.clone())];
        assert_eq!(heard, (events, None));
    }
}

#[test]
fn the_close_frame_is_found_behind_a_violation_in_what_a_message_holds() {
    let close = f(8, true, &1000u16.to_be_bytes());
    let limits = Limits::default().with_message(10_000);
    let large = Miniz::new(6).message(&[7; 50_000]);
    let (noise, compressible) = (crate::peers::noise(20_000), crate::peers::json(20_000));
    let incompressible = Miniz::new(6).message(&noise);
    for (refused, found) in [
        (f(BINARY, true, &[0xff; 20]), true),
        (f(BINARY, true, &[0xff; 9_000]), true),
        (
            [f(BINARY, false, &[0xff; 5_000]), f(0, true, &[1; 100])].concat(),
            true,
        ),
        (f(BINARY, true, &large), true),
        (f(BINARY, true, &incompressible), true),
        (f(BINARY, true, &Miniz::new(6).message(&compressible)), true),
        (f(TEXT, true, &Miniz::new(6).message(b"\xff")), true),
        (f(0x40, true, &HELLO), false),
        (f(0x49, true, b""), false),
    ] {
        for policy in [Policy::default(), takeover()] {
            let late = f(TEXT, true, &HELLO);
            let sent = [&refused[..], &late, &f(0x40, true, b"late"), &close].concat();
            for size in [1, 100, sent.len()] {
                let mut server = server_with(policy, limits);
                let mut heard = Vec::new();
                for mut piece in sent.chunks(size) {
                    while !piece.is_empty() {
                        heard.extend(server.decode(&mut piece).transpose());
                    }
                }
                let closed = matches!(heard.last(), Some(Ok(Event::Close(Some(_)))));
                assert_eq!(
                    (closed, heard.len()),
                    (found, 1 + usize::from(found)),
                    "{heard:?}"
                );
                assert!(server.is_done());
                assert_eq!((server.buffered(), server.retained()), (0, 0));
            }
        }
    }
}

#[test]
fn a_scout_finds_the_control_frames_wherever_its_decoder_stands() {
    let data = Miniz::new(6).message(&crate::peers::json(30_000));
    let (first, second) = data.split_at(data.len() / 2);
    let sent = [
        f(BINARY, false, first),
        f(9, true, b"one"),
        f(0, true, second),
        f(TEXT, true, &HELLO),
        f(10, true, b"two"),
        f(8, true, &1000u16.to_be_bytes()),
    ]
    .concat();
    let is_control = |event: &Event| !matches!(event, Event::Text(_) | Event::Binary(_));
    for at in 0..=sent.len() {
        let (before, after) = sent.split_at(at);
        let mut decoder = server();
        decode(&mut decoder, [before]);
        let (found, violation) = decode(&mut decoder.scout(), [after]);
        assert_eq!(violation, None);
        let (mut all, _) = decode(&mut decoder, [after]);
        all.retain(is_control);
        assert_eq!(found, all, "{at}");
    }
}

/// The last byte that was sent may stand for more than the inflater hands out at once.
#[test]
fn what_the_last_byte_stands_for_comes_out_however_much_it_is() {
    for policy in [Policy::default(), takeover()] {
        let mut server = server_with(policy, Limits::default()).with_ratio(None);
        for size in (8_192..8_192 + 300).chain(16_384..16_384 + 300) {
            for level in [1, 9] {
                let sent = f(BINARY, true, &Miniz::new(level).message(&vec![b'a'; size]));
                let heard = decode(&mut server, [&sent[..]]);
                let expected = vec![Event::Binary(vec![b'a'; size].into())];
                // Not shown: it is long.
                assert!(heard == (expected, None), "{size}");
            }
        }
    }
}
