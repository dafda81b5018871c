//! The envelope against a model, and everything that a hostile client may send.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use realtime_codec_json::{Json, JsonCodec};
use realtime_core::{
    ClientError, Message, MessageId, Payload, PayloadKind, Text,
    codec::{Codec, CodecErrorKind, Frame, FrameKind, Notice, routes},
    history::Position,
};
use serde_json::{Value, json};

fn decode(text: &str) -> Result<Message, CodecErrorKind> {
    JsonCodec
        .decode(Frame::Text(text.into()))
        .map_err(|e| e.kind())
}

fn encode(message: &Message) -> String {
    let mut out = BytesMut::from("before");
    assert_eq!(
        JsonCodec.encode(message, &mut out).unwrap(),
        FrameKind::Text
    );
    String::from_utf8(out.to_vec())
        .unwrap()
        .strip_prefix("before")
        .unwrap()
        .to_owned()
}

#[test]
fn what_is_not_an_envelope_is_malformed() {
    let long = format!(r#"{{"route":"{}"}}"#, "x".repeat(257));
    let entries: serde_json::Map<_, _> = (0..65).map(|n| (n.to_string(), json!("v"))).collect();
    let much = json!({ "metadata": entries }).to_string();
    let rows = [
        "",
        " ",
        "null",
        "[]",
        "\"text\"",
        "1",
        "{",
        "{}}",
        "{} {}",
        "{}x",
        "\u{feff}{}",
        "{\"route\":\"a\",}",
        "{/**/}",
        "{'route':'a'}",
        "{\"data\":NaN}",
        "{\"data\":}",
        r#"{"route":null}"#,
        r#"{"route":1}"#,
        r#"{"id":true}"#,
        r#"{"id":[]}"#,
        r#"{"id":null,"id":"7"}"#,
        r#"{"id":-}"#,
        r#"{"metadata":true}"#,
        r#"{"route":"a","route":"a"}"#,
        r#"{"data":1,"data":1}"#,
        r#"{"metadata":{"k":1}}"#,
        r#"{"metadata":{"k":"a","k":"b"}}"#,
        r#"{"metadata":[]}"#,
        &long,
        &much,
    ];
    for text in rows {
        assert_eq!(
            decode(text).unwrap_err(),
            CodecErrorKind::Malformed,
            "{text}"
        );
    }
    let binary = JsonCodec
        .decode(Frame::Binary(Bytes::from_static(b"{}")))
        .unwrap_err();
    assert_eq!(binary.kind(), CodecErrorKind::UnsupportedFrame);
}

/// The client has no use for them, so whatever it means by them is its own.
#[test]
fn what_only_a_server_says_refuses_no_message() {
    let long = format!(r#""room":"{}""#, "x".repeat(257));
    for field in [
        r#""room":7"#,
        r#""room":"""#,
        r#""room":{}"#,
        r#""room":["a"]"#,
        r#""room":true"#,
        &long,
        r#""offset":-1"#,
        r#""offset":"5""#,
        r#""offset":1.5"#,
        r#""offset":18446744073709551616"#,
        r#""offset":{}"#,
        r#""request":1e400,"offset":null"#,
        r#""request":[],"error":7"#,
    ] {
        let message = decode(&format!(r#"{{"id":1,"route":"r",{field},"data":2}}"#)).unwrap();
        assert_eq!((message.id(), message.route()), (Some("1"), "r"), "{field}");
        assert_eq!(message.data().as_bytes(), b"2");
        assert_eq!((message.room(), message.offset()), (None, None), "{field}");
    }
    let told = decode(r#"{"route":"r","room":"a","offset":7}"#).unwrap();
    assert_eq!(told.room().map(|room| room.as_str()), Some("a"));
    assert_eq!(told.offset(), Some(7));
}

#[test]
fn what_is_wrong_is_named_for_the_client() {
    let reason = |text: &str| {
        let error = JsonCodec.decode(Frame::Text(text.into())).unwrap_err();
        let told = ClientError::find_in(&error).unwrap();
        assert_eq!(told.code(), "malformed");
        told.message().to_owned()
    };
    let rows = [
        (
            r#"{"id":true}"#,
            "\"id\" to be a string or a number of at most 256 bytes; got true",
        ),
        (
            r#"{"route":null}"#,
            "\"route\" to be a string of at most 256 bytes; got null",
        ),
        (r#"{"route":7}"#, "got a number"),
        (
            r#"{"metadata":{"k":1}}"#,
            "\"metadata\" to be an object of at most 64 strings",
        ),
        (r#"{"data":1,"data":1}"#, "\"data\" once"),
        (r#"{"data":tru}"#, "line 1, column"),
        ("7", "a JSON object"),
    ];
    for (text, words) in rows {
        let reason = reason(text);
        assert!(reason.contains(words), "{text}: {reason}");
    }
}

#[test]
fn an_id_goes_back_in_the_form_in_which_it_came() {
    for id in [
        "7",
        "-1",
        "1.5e3",
        "18446744073709551616",
        r#""7""#,
        r#""""#,
    ] {
        let text = format!(r#"{{"id":{id},"route":"r"}}"#);
        let message = decode(&text).unwrap();
        assert_eq!(message.id(), Some(id.trim_matches('"')));
        assert_eq!(encode(&message), text);
    }
    let absent = decode(r#"{"id":null,"metadata":null,"route":"r"}"#).unwrap();
    assert_eq!((absent.id(), absent.metadata()), (None, None));
    let seven = decode(r#"{"id":7}"#).unwrap();
    assert_ne!(seven, decode(r#"{"id":"7"}"#).unwrap());
    assert_eq!(encode(&Message::default().with_id(7)), r#"{"id":7}"#);
}

#[test]
fn what_would_not_be_accepted_is_not_sent() {
    let message = |name: usize| Message::new("x".repeat(name), ()).unwrap();
    let mut entries = message(1);
    for n in 0..65 {
        assert!(entries.metadata().is_none() || encodes(&entries));
        entries = entries.with_metadata(n.to_string(), "v");
    }
    assert!(encodes(&message(256)) && !encodes(&message(257)));
    assert!(encodes(&message(1).with_id("x".repeat(256))));
    assert!(!encodes(&message(1).with_id("x".repeat(257))));
    assert!(!encodes(&entries));
}

fn encodes(message: &Message) -> bool {
    let encoded = JsonCodec.encode(message, &mut BytesMut::new());
    encoded
        .inspect_err(|e| assert_eq!(e.kind(), CodecErrorKind::Encode))
        .is_ok()
}

#[test]
fn data_is_one_json_value_or_not_sent() {
    let message = |data| Message::new("r", data).unwrap();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for data in ["1", " [1 , 2] ", "\"text\"", "null", "1e400", &deep] {
        let data = data.to_owned();
        assert!(encodes(&message(Payload::from(data.clone()))));
        assert_eq!(
            Payload::from(data).into_json().unwrap().kind(),
            PayloadKind::Json
        );
    }
    let rows = [
        "hello",
        " ",
        "1,\"route\":\"gap\"",
        "1},{",
        "{\"a\":1",
        "NaN",
        "\"\n\"",
        "1 2",
    ];
    for data in rows {
        assert!(!encodes(&message(Payload::from(data))), "{data}");
        assert!(Payload::from(data).into_json().is_err(), "{data}");
    }
    let data = decode(r#"{"data":[1]}"#).unwrap().data().clone();
    assert_eq!(data.kind(), PayloadKind::Json);
    assert!(Payload::binary(&b"[1]"[..]).into_json().is_err());
}

#[test]
fn binary_data_is_base64_in_both_directions() {
    for (bytes, text) in [
        (&b""[..], r#"{"route":"r","data":"","encoding":"base64"}"#),
        (
            b"\xff\x00\"",
            r#"{"route":"r","data":"/wAi","encoding":"base64"}"#,
        ),
        (b"{}", r#"{"route":"r","data":"e30=","encoding":"base64"}"#),
    ] {
        let message = Message::new("r", Payload::binary(bytes)).unwrap();
        assert_eq!(encode(&message), text);
        assert_eq!(decode(text), Ok(message));
    }
    let escaped = decode(r#"{"encoding":"base\u00364","data":"\u002fwAi"}"#).unwrap();
    assert_eq!(escaped.data(), &Payload::binary(&b"\xff\x00\""[..]));
    let json = decode(r#"{"encoding":null,"data":"e30="}"#).unwrap();
    assert_eq!(json.data().as_bytes(), br#""e30=""#);
    for (text, reason) in [
        (
            r#"{"data":"e30=","encoding":"hex"}"#,
            "expected \"encoding\" to be \"base64\"; got another string",
        ),
        (
            r#"{"data":[1],"encoding":"base64"}"#,
            "expected \"data\" to be a string of standard base64, since \"encoding\" says so; got an array",
        ),
        (
            r#"{"data":"e3","encoding":"base64"}"#,
            "expected \"data\" to be a string of standard base64, since \"encoding\" says so; got another string",
        ),
        (
            r#"{"encoding":"base64"}"#,
            "expected \"data\" to be a string of standard base64, since \"encoding\" says so; there is none",
        ),
    ] {
        let error = JsonCodec.decode(Frame::Text(text.into())).unwrap_err();
        let told = std::error::Error::source(&error).unwrap().to_string();
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn an_error_shows_nothing_of_the_data() {
    let frame = Frame::Text("{\"route\": s3cret}".into());
    let error = JsonCodec.decode(frame).unwrap_err();
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}

#[test]
fn data_is_carried_to_the_byte() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let digits = "9".repeat(20_000);
    let rows = [
        "null",
        "1e400",
        "18446744073709551616",
        r#""\ud800""#,
        r#"{"a":1,"a":2}"#,
        "[ 1 , 2 ]",
        &deep,
        &digits,
    ];
    for data in rows {
        let message = decode(&format!(r#"{{"route":"r","data":{data}}}"#)).unwrap();
        assert!(message.data().as_bytes() == data.as_bytes(), "{:.40}", data);
        assert!(encode(&message).ends_with(&format!("\"data\":{data}}}")));
    }
}

#[test]
fn what_is_missing_is_empty_and_what_is_unknown_is_ignored() {
    let message = decode(r#"{"later":[{}],"data":1}"#).unwrap();
    assert_eq!(
        (message.id(), message.route(), message.metadata()),
        (None, "", None)
    );
    assert_eq!(encode(&Message::default()), "{}");
    assert_eq!(encode(&Message::new("r", ()).unwrap()), r#"{"route":"r"}"#);
}

#[test]
fn data_and_long_names_without_escapes_share_the_frame() {
    let (id, route) = (
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "orders.of.this.month",
    );
    let frame = Text::from(format!(r#"{{"id":"{id}","route":"{route}.2","data":[3]}}"#));
    let message = JsonCodec.decode(Frame::Text(frame.clone())).unwrap();
    let range = frame.as_bytes().as_ptr_range();
    assert!(range.contains(&message.route().as_ptr()));
    assert!(range.contains(&message.id().unwrap().as_ptr()));
    assert!(range.contains(&message.data().as_bytes().as_ptr()));
    assert_eq!(decode(r#"{"route":"t\u0077o"}"#).unwrap().route(), "two");
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_and_reads_as_json(
        id in prop::option::of("\\PC{0,20}"), route in "\\PC{0,20}",
        data: Option<i64>, metadata in prop::collection::btree_map("\\PC{0,5}", "\\PC{0,5}", 0..4),
    ) {
        let mut message = Message::new(route.as_str(), ()).unwrap();
        if let Some(data) = data {
            message = Message::new(route.as_str(), Json(data)).unwrap();
        }
        if let Some(id) = &id {
            message = message.with_id(id.as_str());
        }
        for (name, value) in &metadata {
            message = message.with_metadata(name, value);
        }
        let text = encode(&message);
        prop_assert_eq!(decode(&text).unwrap(), message);

        let mut model = serde_json::Map::new();
        id.map(|id| model.insert("id".into(), json!(id)));
        (!route.is_empty()).then(|| model.insert("route".into(), json!(route)));
        data.map(|data| model.insert("data".into(), json!(data)));
        (!metadata.is_empty()).then(|| model.insert("metadata".into(), json!(metadata)));
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), Value::Object(model));
    }

    #[test]
    fn garbage_never_panics(
        mut text in r#"\{"id":"[a-z]{0,3}","route":"\PC{0,5}","data":[\[\]{}0-9,":]{0,9}\}"#,
        at: prop::sample::Index, with in "\\PC",
    ) {
        let at = text.char_indices().map(|(i, _)| i).nth(at.index(text.chars().count())).unwrap();
        text.insert_str(at, &with);
        let _ = decode(&text);
    }
}

fn notice(notice: &Notice<'_>) -> String {
    let mut out = BytesMut::new();
    let kind = JsonCodec.encode_notice(notice, &mut out).unwrap();
    assert_eq!(kind, Some(FrameKind::Text));
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn what_the_gateway_says_itself_has_these_forms() {
    let id = MessageId::from("7");
    let error = ClientError::new("full", "no \"room\" is left").temporary();
    let data = r#""data":{"code":"full","message":"no \"room\" is left","temporary":true}"#;
    let with_id = Notice::Error {
        id: Some(&id),
        error: &error,
    };
    assert_eq!(
        notice(&with_id),
        format!(r#"{{"id":"7","route":"error",{data}}}"#)
    );
    let without = Notice::Error {
        id: None,
        error: &error,
    };
    assert_eq!(notice(&without), format!(r#"{{"route":"error",{data}}}"#));
    let later = ClientError::new("full", "").with_retry_after(Duration::from_micros(1_500_001));
    let (id, error) = (None, &later);
    let data = r#"{"code":"full","message":"","temporary":true,"retry_after":1.501}"#;
    assert_eq!(
        notice(&Notice::Error { id, error }),
        format!(r#"{{"route":"error","data":{data}}}"#)
    );
    let within = Duration::from_millis(2_999);
    let expiring = notice(&Notice::Expiring { within });
    assert_eq!(expiring, r#"{"route":"expiring","data":{"seconds":2}}"#);
    let room = &"a\"b".parse().unwrap();
    let removed = notice(&Notice::Removed { room });
    assert_eq!(removed, r#"{"route":"removed","data":{"room":"a\"b"}}"#);
    let (missed, rooms) = (3, [].as_slice());
    let gap = notice(&Notice::Gap { missed, rooms });
    assert_eq!(gap, r#"{"route":"gap","data":{"missed":3}}"#);
    let position = |offset| Position::new("e1".parse().unwrap(), offset);
    let rooms = &[
        ("a".parse().unwrap(), position(7)),
        ("\"".parse().unwrap(), position(0)),
    ];
    let of_rooms = notice(&Notice::Gap { missed, rooms });
    let expected = r#"{"a":{"epoch":"e1","offset":7},"\"":{"epoch":"e1","offset":0}}"#;
    assert_eq!(
        of_rooms,
        format!(r#"{{"route":"gap","data":{{"missed":3,"rooms":{expected}}}}}"#)
    );
    assert_eq!(decode(&gap).unwrap().route(), routes::GAP);
}
