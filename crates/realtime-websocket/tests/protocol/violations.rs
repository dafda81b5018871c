//! What the RFC forbids: each row of the table, and the close code that it must give.

use realtime_websocket::{
    Decoder, Event, Limits, Role, Violation,
    frame::{self, Opcode},
};

use crate::stream;

const KEY: [u8; 4] = [1, 2, 3, 4];

/// A frame that a client sends, with any bits for its opcode.
fn f(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    frame::fragment(opcode, fin, payload, Some(KEY)).to_vec()
}

fn limits() -> Limits {
    Limits::default().with_message(1000).with_fragments(3)
}

/// The close code with which a server refuses `bytes`, however they come.
fn refused(bytes: &[u8]) -> Option<u16> {
    let code = |pieces: Vec<&[u8]>| {
        let (_, violation) = stream::decode(Role::Server, limits(), pieces);
        violation.map(|violation| violation.close_code())
    };
    let whole = code(vec![bytes]);
    assert_eq!(code(bytes.chunks(1).collect()), whole);
    whole
}

#[test]
fn everything_that_the_rfc_forbids_has_its_close_code() {
    let fragments = |count| {
        let mut bytes = f(2, false, b"");
        (2..count).for_each(|_| bytes.extend(f(0, false, b"")));
        bytes.extend(f(0, true, b""));
        bytes
    };
    let length = |bytes: &[u8]| [bytes, &KEY].concat();
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        (
            "unmasked",
            frame::fragment(1, true, b"x", None).to_vec(),
            1002,
        ),
        ("unmasked ping", frame::ping(b"").to_vec(), 1002),
        ("RSV1", f(0x41, true, b"x"), 1002),
        ("RSV2", f(0x21, true, b"x"), 1002),
        ("RSV3", f(0x11, true, b"x"), 1002),
        ("RSV1 on a ping", f(0x49, true, b""), 1002),
        ("ping over 125 bytes", f(9, true, &[0; 126]), 1002),
        ("pong over 125 bytes", f(10, true, &[0; 126]), 1002),
        ("close over 125 bytes", f(8, true, &[0; 126]), 1002),
        ("fragmented ping", f(9, false, b""), 1002),
        ("fragmented close", f(8, false, b""), 1002),
        ("continuation without a start", f(0, true, b"x"), 1002),
        (
            "continuation after the end",
            [f(2, true, b"x"), f(0, true, b"y")].concat(),
            1002,
        ),
        (
            "text inside a message",
            [f(1, false, b"x"), f(1, true, b"y")].concat(),
            1002,
        ),
        (
            "binary inside a message",
            [f(1, false, b"x"), f(2, false, b"y")].concat(),
            1002,
        ),
        ("125 in 16 bits", length(b"\x82\xfe\x00\x7d"), 1002),
        (
            "125 in 64 bits",
            length(b"\x82\xff\0\0\0\0\0\0\0\x7d"),
            1002,
        ),
        (
            "65,535 in 64 bits",
            length(b"\x82\xff\0\0\0\0\0\0\xff\xff"),
            1002,
        ),
        (
            "top bit of the length",
            length(b"\x82\xff\x80\0\0\0\0\0\0\0"),
            1002,
        ),
        (
            "all bits of the length",
            length(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            1002,
        ),
        ("2^62 bytes", length(b"\x82\xff\x40\0\0\0\0\0\0\0"), 1009),
        (
            "2^63 - 1 bytes",
            length(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"),
            1009,
        ),
        ("over the limit", f(2, true, &[0; 1001]), 1009),
        (
            "over the limit, its header alone",
            f(2, true, &[0; 1001])[..8].to_vec(),
            1009,
        ),
        (
            "over the limit in fragments",
            [f(2, false, &[0; 600]), f(0, true, &[0; 401])].concat(),
            1009,
        ),
        ("too many fragments", fragments(4), 1008),
        ("not UTF-8", f(1, true, b"\xff"), 1007),
        ("overlong", f(1, true, b"\xc0\xaf"), 1007),
        ("a surrogate", f(1, true, b"\xed\xa0\x80"), 1007),
        ("above U+10FFFF", f(1, true, b"\xf4\x90\x80\x80"), 1007),
        ("UTF-8 cut off", f(1, true, b"\xe2\x82"), 1007),
        ("not UTF-8 in a fragment", f(1, false, b"\xc3\x28"), 1007),
        (
            "not UTF-8 across fragments",
            [f(1, false, b"\xc3"), f(0, false, b"\x28")].concat(),
            1007,
        ),
        (
            "UTF-8 cut off across fragments",
            [f(1, false, b"\xe2"), f(0, true, b"\x82")].concat(),
            1007,
        ),
        ("close with one byte", f(8, true, b"\x03"), 1002),
        (
            "close with a reason that isn't UTF-8",
            f(8, true, b"\x03\xe8\xff"),
            1007,
        ),
        (
            "close with a reason cut off",
            f(8, true, b"\x03\xe8\xe2\x82"),
            1007,
        ),
    ];
    for (what, bytes, code) in rows {
        assert_eq!(refused(&bytes), Some(code), "{what}");
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(
            refused(&f(opcode, true, b"")),
            Some(1002),
            "opcode {opcode}"
        );
    }
    assert_eq!(refused(&fragments(3)), None);
    // Each message is counted by itself.
    assert_eq!(refused(&fragments(3).repeat(3)), None);
    assert_eq!(refused(&f(2, true, &[0; 1000]).repeat(3)), None);
    assert_eq!(refused(&f(2, true, &[0; 1000])), None);
}

#[test]
fn a_close_may_have_the_codes_that_may_be_sent() {
    let close = |code: u16| f(8, true, &[&code.to_be_bytes()[..], "ä".as_bytes()].concat());
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65_535,
    ] {
        assert_eq!(refused(&close(code)), Some(1002), "{code}");
    }
    for code in [
        1000, 1001, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
    ] {
        assert_eq!(refused(&close(code)), None, "{code}");
    }
    assert_eq!(refused(&f(8, true, b"")), None);
}

#[test]
fn a_server_must_not_mask() {
    let (_, violation) = stream::decode(Role::Client, limits(), [&f(1, true, b"")[..]]);
    assert_eq!(violation, Some(Violation::BadMask));
}

#[test]
fn the_violation_says_what_it_was() {
    let violation = |bytes: &[u8]| stream::decode(Role::Server, limits(), [bytes]).1;
    assert_eq!(violation(&f(11, true, b"")), Some(Violation::BadOpcode(11)));
    let too_big = violation(&f(2, true, &[0; 2000]));
    assert_eq!(too_big, Some(Violation::TooBig { limit: 1000 }));
    assert_eq!(
        too_big.map(|v| v.to_string()).unwrap_or_default(),
        "a message may have at most 1000 bytes"
    );
}

/// The RFC lets a server wait for the end; a test suite that many run calls that "non-strict".
#[test]
fn bad_text_fails_at_the_byte_that_makes_it_bad() {
    let text = [
        &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"[..],
        b"\xf4\x90\x80\x80edited",
    ];
    let text = text.concat();
    let bad = 12;
    let header = 2 + KEY.len();
    let whole = f(1, true, &text);
    let split = [f(1, false, &text[..12]), f(0, true, &text[12..])].concat();
    for (sent, at) in [(whole, header + bad), (split, 2 * header + bad)] {
        let mut decoder = Decoder::new(Role::Server, limits());
        let failed = sent
            .chunks(1)
            .position(|mut byte| decoder.decode(&mut byte).is_err());
        assert_eq!(failed, Some(at));
    }
}

#[test]
fn a_frame_that_is_too_big_is_refused_before_its_payload() {
    let sent = f(2, true, &[0; 1001]);
    let mut decoder = Decoder::new(Role::Server, limits());
    let header = 2 + 2 + KEY.len();
    let failed = sent
        .chunks(1)
        .position(|mut byte| decoder.decode(&mut byte).is_err());
    assert_eq!((failed, decoder.buffered()), (Some(header - 1), 0));
}

#[test]
fn many_empty_fragments_cost_nothing_until_they_are_too_many() {
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    decoder.decode(&mut &f(2, false, b"")[..]).unwrap();
    let more = f(0, false, b"");
    for _ in 1..4096 {
        assert_eq!(decoder.decode(&mut &more[..]), Ok(None));
        assert_eq!(decoder.buffered(), 0);
    }
    let refused = decoder.decode(&mut &more[..]).unwrap_err();
    assert_eq!(refused.close_code(), 1008);
}

#[test]
fn nothing_follows_a_close_or_a_violation() {
    let late = [f(1, true, b"late"), b"garbage".to_vec()].concat();
    let close = [f(8, true, &[]), late.clone()].concat();
    let events = stream::decode(Role::Server, limits(), [&close[..]]);
    assert_eq!(events, (vec![Event::Close(None)], None));

    let mut decoder = Decoder::new(Role::Server, limits());
    let unmasked = frame::server_frame(frame::Kind::Text, b"hi");
    assert!(decoder.decode(&mut &unmasked[..]).is_err());
    let mut input = &late[..];
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert!(input.is_empty());
}

#[test]
fn a_character_may_be_cut_by_fragments_and_a_ping_may_stand_between() {
    let bytes = [
        frame::client_frame(false, Opcode::Text, b"\xe2\x82", KEY),
        frame::client_frame(true, Opcode::Ping, b"p", KEY),
        frame::client_frame(true, Opcode::Continuation, b"\xac", KEY),
    ]
    .concat();
    let heard = stream::decode(Role::Server, limits(), [&bytes[..]]);
    let events = vec![Event::Ping("p".into()), Event::Text("€".into())];
    assert_eq!(heard, (events, None));
}

#[test]
fn fragments_of_some_size_do_not_count_against_the_limit() {
    let many = |size: usize| {
        let mut bytes = f(2, false, &vec![0; size]);
        (0..10).for_each(|_| bytes.extend(f(0, false, &vec![0; size])));
        refused(&bytes)
    };
    assert_eq!(many(64), None);
    assert_eq!(many(1), Some(1008));
}
