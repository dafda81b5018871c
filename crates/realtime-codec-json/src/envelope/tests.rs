//! The short way of reading beside this one.

use proptest::prelude::*;
use realtime_core::Text;

use super::Envelope;
use crate::scan::scan;

/// What may stand in an envelope, in any order and with anything else between.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\"id\"",
        "\"route\"",
        "\"data\"",
        "\"x\"",
        "\"id\":\"7\"",
        "\"route\":\"chat\"",
        "\"data\":{\"a\":[1]}",
        "\"metadata\":{}",
        "\"\\u0041\"",
        "\"ä\"",
        "1",
        "-0.5e3",
        "null",
        "tru",
        "\"",
        "\\",
        "\"\\ud800\"",
    ]);
    prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
}

/// A whole envelope, with a piece of garbage now and then.
fn envelopes() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "\"id\":\"7\"",
        " \"route\" : \"room.1\" ",
        "\"data\":[{\"}\":\"{\"}, 1]",
        "\"data\":\"\\n\"",
        "\"data\":1",
        "\"id\":null",
        "\"id\":7",
        "\"metadata\":{\"a\":\"b\"}",
        "\"later\":true",
        "",
        "1",
    ]);
    prop::collection::vec(field, 0..4).prop_map(|fields| format!("{{{}}}", fields.join(",")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_short_way_reads_what_serde_reads(text in prop_oneof![pieces(), envelopes()]) {
        if let Some(plain) = scan(&text) {
            let frame = Text::from(&*text);
            let slow = Envelope::read(&frame).ok().unwrap();
            let (slow, short) = (slow.into_message(&frame), plain.into_message(&frame));
            prop_assert_eq!(slow.data().kind(), short.data().kind());
            prop_assert_eq!(slow, short);
        }
    }
}
