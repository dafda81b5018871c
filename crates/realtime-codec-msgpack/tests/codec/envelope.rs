//! The fields of an envelope: what they may be, and what is said of those that are wrong.

use realtime_core::{Exchange, MessageId, RoomName};

use super::*;

#[test]
fn what_is_not_an_envelope_is_malformed() {
    let entries: Vec<_> = (0..65)
        .map(|n| (n.to_string().into(), "v".into()))
        .collect();
    let with = |name: &str, value: Value| packed(&map! { name => value });
    for (frame, words) in [
        (Bytes::new(), "expected a map; got nothing"),
        (packed(&Value::Nil), "expected a map; got nil"),
        (
            packed(&Value::Array(vec![])),
            "expected a map; got an array",
        ),
        (
            packed(&Value::from(7)),
            "expected a map; got another integer",
        ),
        (
            Bytes::from_static(b"\xc1"),
            "it is no MessagePack, at byte 1",
        ),
        (Bytes::from_static(b"\x80\x80"), "more behind it, at byte 1"),
        (Bytes::from_static(b"\x81"), "it ends too early, at byte 1"),
        (Bytes::from_static(b"\x81\xa2i"), "it ends too early"),
        (
            packed(&map! { 1 => 2 }),
            "keys are strings; got another integer",
        ),
        (
            with("route", Value::Nil),
            "\"route\" to be a string of at most 256 bytes; got nil",
        ),
        (with("route", "x".repeat(257).into()), "got another string"),
        (
            with("route", Value::Binary(b"r".to_vec())),
            "got binary data",
        ),
        (
            with("id", true.into()),
            "\"id\" to be a whole number or a string of at most 256 bytes; got true",
        ),
        (with("id", 7.5.into()), "got a floating-point number"),
        (with("id", f64::NAN.into()), "got a floating-point number"),
        (
            with("id", f64::INFINITY.into()),
            "got a floating-point number",
        ),
        // Behind it not every integer has a number of its own.
        (
            with("id", 9_007_199_254_740_994.0.into()),
            "got a floating-point number",
        ),
        (with("id", "x".repeat(257).into()), "got another string"),
        (with("id", Value::Ext(1, vec![0])), "got an extension type"),
        (with("id", Value::Ext(0, vec![1])), "got an extension type"),
        (
            with("id", Value::Ext(0, vec![0, 0])),
            "got an extension type",
        ),
        (
            with("metadata", true.into()),
            "\"metadata\" to be a map of at most 64 strings",
        ),
        (
            with("metadata", map! { "k" => 1 }),
            "one with a name or a value that is not a string",
        ),
        (
            with("metadata", map! { 1 => "v" }),
            "one with a name or a value that is not a string",
        ),
        (
            with("metadata", map! { "k" => "v", "k" => "v" }),
            "got more, or one twice",
        ),
        (
            with("metadata", Value::Map(entries)),
            "got more, or one twice",
        ),
        (with("reply", 7.5.into()), "\"reply\" to be"),
        (
            packed(&map! { "data" => 1, "data" => 1 }),
            "expected \"data\" once; got it twice",
        ),
        (
            packed(&map! { "id" => Value::Nil, "id" => 7 }),
            "expected \"id\" once",
        ),
        (
            packed(&map! { "reply" => 1, "request" => 1 }),
            "\"request\" or \"reply\"; got both",
        ),
        (
            packed(&map! { "reply" => 1, "error" => 1 }),
            "\"error\" to be a map with the string \"code\"",
        ),
        (
            packed(&map! { "reply" => 1, "error" => map! { "message" => "" } }),
            "\"error\" to be",
        ),
        (
            packed(&map! { "reply" => 1, "error" => map! { "code" => "x".repeat(257) } }),
            "\"error\" to be",
        ),
        (
            packed(&map! { "reply" => 1, "error" => map! { "code" => "x", "code" => "x" } }),
            "\"error\" to be",
        ),
    ] {
        let reason = reason(frame.clone());
        assert!(reason.contains(words), "{frame:?}: {reason}");
    }
    // A string that isn't UTF-8.
    assert!(reason(&b"\x81\xa5route\xa1\xff"[..]).contains("\"route\""));
    let text = MsgPackCodec.decode(Frame::Text("{}".into())).unwrap_err();
    assert_eq!(text.kind(), CodecErrorKind::UnsupportedFrame);
}

/// The client has no use for them, so whatever it means by them is its own.
#[test]
fn what_only_a_server_says_refuses_no_message() {
    let wrong = [
        Value::from(7),
        "".into(),
        "x".repeat(257).into(),
        Value::Map(vec![]),
        true.into(),
        Value::Ext(1, vec![0]),
    ];
    for room in wrong {
        let message = read(&map! { "route" => "r", "id" => 1, "room" => room });
        assert_eq!((message.route(), message.room()), ("r", None));
    }
    for offset in [
        (-1).into(),
        "5".into(),
        1.5.into(),
        (-1.0).into(),
        true.into(),
    ] {
        let message = read(&map! { "route" => "r", "id" => 1, "offset" => Value::clone(&offset) });
        assert_eq!((message.route(), message.offset()), ("r", None));
    }
}

/// msgpackr writes `Date.now()` as a floating-point number, and reads a long integer as a `BigInt`.
#[test]
fn whole_numbers_may_be_floating_point_numbers() {
    for number in [0.0, 7.0, -7.0, 1_764_170_000_000.0, 9_007_199_254_740_992.0] {
        let message = read(&map! { "id" => number, "route" => "r" });
        assert!(message.message_id().unwrap().is_number());
        let answer = map! { "id" => number, "route" => "r" };
        assert_eq!(written(&message), answer, "as it came");
    }
    let narrow = decode(&b"\x81\xa2id\xca\x40\xe0\x00\x00"[..]).unwrap();
    assert_eq!(written(&narrow), map! { "id" => 7.0 });
    let zero = read(&map! { "id" => -0.0 });
    assert_eq!(written(&zero), map! { "id" => 0.0 });
    // The server asks under integers, and knows its own again.
    let answer = read(&map! { "reply" => 12.0 });
    assert_eq!(answer.exchange(), Some(&Exchange::Reply(12.into())));
    let message = read(&map! { "room" => "a", "offset" => 1_764_170_000_001.0 });
    assert_eq!(message.offset(), Some(1_764_170_000_001));
}

/// As JavaScript's encoders write it.
#[test]
fn undefined_is_nil() {
    let undefined = || Value::Ext(0, vec![0]);
    let absent = map! {
        "id" => undefined(), "metadata" => undefined(), "room" => undefined(),
        "offset" => undefined(), "request" => undefined(), "reply" => undefined(),
    };
    assert_eq!(read(&absent), Message::default());
    let plain = read(&map! { "reply" => 3, "error" => undefined() });
    assert_eq!(plain.exchange(), Some(&Exchange::Reply(3.into())));
    let data = read(&map! { "data" => map! { "a" => undefined() } });
    assert_eq!(data.data().as_bytes(), br#"{"a":null}"#);
}

#[test]
fn a_request_that_is_malformed_keeps_its_id() {
    let id = |value: Value| decode(packed(&value)).unwrap_err().request().cloned();
    let seven = Some(MessageId::from(7));
    assert_eq!(id(map! { "route" => 1, "id" => 7 }), seven);
    assert_eq!(
        id(map! { "data" => Value::Ext(1, vec![]), "id" => 7 }),
        seven
    );
    assert_eq!(id(map! { "id" => 7, "id" => 8 }), None);
    assert_eq!(id(map! { "route" => 1 }), None);
}

#[test]
fn nothing_of_the_data_is_told() {
    for value in [
        map! { "route" => 1, "data" => "s3cret" },
        map! { "data" => Value::Array(vec!["s3cret".into(), Value::Ext(1, b"s3cret".to_vec())]) },
        map! { "metadata" => map! { "s3cret" => 1 } },
    ] {
        let error = format!("{:?}", decode(packed(&value)).unwrap_err());
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn an_id_goes_back_in_the_form_in_which_it_came() {
    let integers = [i64::MIN, -129, -1, 0, 7, 127, 128, i64::MAX].map(Value::from);
    let ids = integers
        .into_iter()
        .chain([u64::MAX.into(), "7".into(), "".into()]);
    for id in ids {
        let message = read(&map! { "id" => id.clone(), "route" => "r" });
        assert_eq!(
            message.message_id().unwrap().is_number(),
            id.is_i64() || id.is_u64()
        );
        assert_eq!(written(&message), map! { "id" => id, "route" => "r" });
    }
    // Widely written.
    let wide = decode(&b"\x81\xa2id\xd3\0\0\0\0\0\0\0\x07"[..]).unwrap();
    assert_eq!(wide.message_id(), Some(&MessageId::from(7)));
    let absent = read(&map! { "id" => Value::Nil, "metadata" => Value::Nil, "room" => Value::Nil });
    assert_eq!(absent, Message::default());
    for number in ["1.5", "1e3", "-0", "18446744073709551616"] {
        let id = MessageId::number(number.into()).unwrap();
        assert!(encode(&Message::default().with_id(id)).is_err(), "{number}");
    }
}

#[test]
fn every_field_is_read_and_written() {
    let whole = map! {
        "id" => "7", "route" => "r", "room" => "order:42", "offset" => u64::MAX,
        "metadata" => map! { "k" => "v" }, "data" => Value::Binary(vec![0xff, 0]),
    };
    let message = read(&whole);
    assert_eq!(message.id(), Some("7"));
    assert_eq!(message.route(), "r");
    assert_eq!(message.room().map(RoomName::as_str), Some("order:42"));
    assert_eq!(message.offset(), Some(u64::MAX));
    assert_eq!(message.metadata().unwrap()["k"], "v");
    assert_eq!(message.data(), &Payload::binary(vec![0xff, 0]));
    assert_eq!(decode(encode(&message).unwrap()).unwrap(), message);

    let refused = map! {
        "reply" => 3, "data" => 1, "later" => Value::Nil,
        "error" => map! { "code" => "busy", "temporary" => true, 1 => 2, "later" => 1 },
    };
    let busy = ClientError::new("busy", "").temporary();
    let refused = read(&refused);
    assert_eq!(refused.exchange(), Some(&Exchange::Refusal(3.into(), busy)));
    assert_eq!(decode(encode(&refused).unwrap()).unwrap(), refused);
    let with =
        |data: Value| map! { "reply" => 3, "error" => map! { "code" => "x", "data" => data } };
    for (data, text) in [
        (map! { "a" => 1 }, r#"{"a":1}"#),
        (Value::Binary(vec![0]), r#""AA==""#),
    ] {
        let told = read(&with(data));
        let error = ClientError::new("x", "").with_data(Payload::from(text).into_json().unwrap());
        assert_eq!(told.exchange(), Some(&Exchange::Refusal(3.into(), error)));
        assert_eq!(decode(encode(&told).unwrap()).unwrap(), told);
    }
    let plain = Exchange::Refusal(3.into(), ClientError::new("x", ""));
    assert_eq!(read(&with(Value::Nil)).exchange(), Some(&plain));
    for data in [
        "x".repeat(ClientError::MAX_DATA).into(),
        Value::Ext(1, vec![]),
    ] {
        assert!(reason(packed(&with(data))).contains("16 KiB of \"data\""));
    }
    let bytes = ClientError::new("x", "").with_data(Payload::binary(vec![0]));
    let bytes = Message::default().with_exchange(Exchange::Refusal(3.into(), bytes));
    assert!(encode(&bytes).is_err());
    let reply = read(&map! { "reply" => "3", "error" => Value::Nil });
    assert_eq!(reply.exchange(), Some(&Exchange::Reply("3".into())));
    // The server alone asks.
    let own = read(&map! { "request" => 1.5, "error" => 1 });
    assert_eq!(own.exchange(), None);
}

#[test]
fn what_is_missing_is_empty_and_what_is_unknown_is_ignored() {
    let deep = b"\x81\xa5later"
        .iter()
        .chain(&[0x91; 100_000])
        .chain(b"\xc0");
    assert_eq!(
        decode(deep.copied().collect::<Bytes>()).unwrap(),
        Message::default()
    );
    let odd = map! { "later" => Value::Ext(5, vec![1; 300]), "encoding" => "x", "data" => 1 };
    assert_eq!(read(&odd).data().as_bytes(), b"1");
    assert_eq!(written(&Message::default()), map! {});
    assert_eq!(written(&of(Payload::empty())), map! { "route" => "r" });
}

#[test]
fn what_would_not_be_accepted_is_not_sent() {
    let message = |name: usize| Message::new("x".repeat(name), ()).unwrap();
    assert!(encode(&message(256)).is_ok() && encode(&message(257)).is_err());
    assert!(encode(&message(1).with_id("x".repeat(256))).is_ok());
    assert!(encode(&message(1).with_id("x".repeat(257))).is_err());
    let mut entries = message(1);
    for n in 0..65 {
        assert!(encode(&entries).is_ok());
        entries = entries.with_metadata(n.to_string(), "v");
    }
    assert!(encode(&entries).is_err());
    let code = ClientError::new("x".repeat(257), "");
    let refusal = Message::default().with_exchange(Exchange::Refusal("7".into(), code));
    assert!(encode(&refusal).is_err());
}

#[test]
fn names_and_bytes_share_the_frame() {
    let frame =
        packed(&map! { "id" => "one", "route" => "two", "data" => Value::Binary(vec![7; 99]) });
    let message = decode(frame.clone()).unwrap();
    let range = frame.as_ptr_range();
    assert!(range.contains(&message.id().unwrap().as_ptr()));
    assert!(range.contains(&message.route().as_ptr()));
    assert!(range.contains(&message.data().as_bytes().as_ptr()));
}

/// A header may claim what it likes: nothing is set aside for it.
#[test]
fn what_is_only_claimed_costs_nothing() {
    let most = [0xff; 4];
    for (header, marker) in [
        ("str", 0xdb),
        ("bin", 0xc6),
        ("array", 0xdd),
        ("map", 0xdf),
        ("ext", 0xc9),
    ] {
        let value: Vec<u8> = [marker].into_iter().chain(most).collect();
        assert!(decode(value.clone()).is_err(), "{header}");
        for field in ["id", "route", "data", "metadata", "error", "later"] {
            let mut frame = vec![0x81, 0xa0 | field.len() as u8];
            frame.extend(field.as_bytes());
            frame.extend(&value);
            assert!(reason(frame).contains("ends too early"), "{header} {field}");
        }
    }
}
