//! What becomes of data: bytes, JSON, and what has no form in the other of the two.

use realtime_core::PayloadKind;

use super::*;

fn data(value: Value) -> Payload {
    read(&map! { "data" => value }).data().clone()
}

/// The JSON that a value becomes.
fn json(value: impl Into<Value>) -> String {
    let data = data(value.into());
    assert_eq!(data.kind(), PayloadKind::Json);
    String::from_utf8(data.as_bytes().to_vec()).unwrap()
}

/// The value that JSON becomes.
fn value(json: &str) -> Value {
    let json = Payload::from(json.to_owned());
    let (text, checked) = (of(json.clone()), of(json.into_json().unwrap()));
    let written = written(&checked);
    assert_eq!(self::written(&text), written);
    written["data"].clone()
}

fn refused(value: Value) -> String {
    let frame = packed(&map! { "id" => 7, "data" => value });
    reason(frame)
}

#[test]
fn bytes_are_bytes() {
    for bytes in [
        vec![],
        vec![0xff, 0, b'"'],
        b"{}".to_vec(),
        vec![1; 256],
        vec![2; 65_536],
    ] {
        let data = data(Value::Binary(bytes.clone()));
        assert_eq!(data, Payload::binary(bytes.clone()));
        assert_eq!(written(&of(data))["data"], Value::Binary(bytes));
    }
    // In other data they have no place of their own.
    assert_eq!(
        json(Value::Array(vec![Value::Binary(b"\xff\x00\"".to_vec())])),
        r#"["/wAi"]"#
    );
    assert_eq!(
        json(map! { "image" => Value::Binary(b"{}".to_vec()) }),
        r#"{"image":"e30="}"#
    );
}

#[test]
fn everything_else_becomes_json() {
    for (value, text) in [
        (Value::Nil, "null"),
        (true.into(), "true"),
        (false.into(), "false"),
        (0.into(), "0"),
        ((-1).into(), "-1"),
        (i64::MIN.into(), "-9223372036854775808"),
        (u64::MAX.into(), "18446744073709551615"),
        (1.5.into(), "1.5"),
        (1.0.into(), "1.0"),
        (0.5_f32.into(), "0.5"),
        ((-0.0).into(), "-0.0"),
        (f64::NAN.into(), "null"),
        (f64::INFINITY.into(), "null"),
        (f32::NEG_INFINITY.into(), "null"),
        ("a\"\u{1}ä".into(), "\"a\\\"\\u0001ä\""),
        (Value::Array(vec![]), "[]"),
        (Value::Array(vec![1.into(), Value::Nil]), "[1,null]"),
        (map! {}, "{}"),
        (
            map! { "a" => map! { "b" => 1 }, "c" => 2 },
            r#"{"a":{"b":1},"c":2}"#,
        ),
        (
            map! { 1 => 2, -1 => 3, u64::MAX => 4 },
            r#"{"1":2,"-1":3,"18446744073709551615":4}"#,
        ),
    ] {
        assert_eq!(json(value), text);
    }
}

#[test]
fn what_has_no_form_as_json_is_malformed() {
    let key = |key: Value| Value::Map(vec![(key, 1.into())]);
    let invalid = Bytes::from_static(b"\x81\xa4data\x91\xa1\xff");
    assert!(reason(invalid).contains("a string that is not UTF-8"));
    for (value, words) in [
        (Value::Ext(1, vec![1]), "an extension type"),
        (
            Value::Array(vec![Value::Ext(-1, vec![0; 4])]),
            "an extension type",
        ),
        (
            key(true.into()),
            "a map with a key that is neither a string nor an integer",
        ),
        (key(1.5.into()), "a map with a key"),
        (key(Value::Nil), "a map with a key"),
        (key(Value::Binary(vec![1])), "a map with a key"),
        (key(Value::Array(vec![])), "a map with a key"),
    ] {
        let told = refused(value);
        assert!(
            told.starts_with("expected \"data\" that has a form as JSON; got "),
            "{told}"
        );
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn json_becomes_what_it_says() {
    for (text, expected) in [
        (
            " [ null , true,\tfalse\n] ",
            Value::Array(vec![Value::Nil, true.into(), false.into()]),
        ),
        (
            "{ \"a\" : [ ] , \"b\" : { } }",
            map! { "a" => Value::Array(vec![]), "b" => map! {} },
        ),
        ("18446744073709551615", u64::MAX.into()),
        ("-9223372036854775808", i64::MIN.into()),
        ("-1", (-1).into()),
        ("0", 0.into()),
        // More than 64 bits.
        ("18446744073709551616", 18446744073709551616.0.into()),
        ("-9223372036854775809", (-9223372036854775809.0).into()),
        ("-0", (-0.0).into()),
        ("1.0", 1.0.into()),
        ("1e2", 100.0.into()),
        ("-1.5E-3", (-0.0015).into()),
        ("1e400", f64::INFINITY.into()),
        ("-1e400", f64::NEG_INFINITY.into()),
        (r#""""#, "".into()),
        (
            r#""a\"\\\/\b\f\n\r\tä\u00e4\ud83d\ude00""#,
            "a\"\\/\u{8}\u{c}\n\r\tää\u{1f600}".into(),
        ),
        (
            r#""\ud800 \udc00\ud800\u0041\ud800\ud83d\ude00""#,
            "\u{fffd} \u{fffd}\u{fffd}A\u{fffd}\u{1f600}".into(),
        ),
        (r#"{"a\n":1,"a\n":2}"#, map! { "a\n" => 1, "a\n" => 2 }),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
    for text in [
        "hello",
        " ",
        "1 2",
        "[1",
        "NaN",
        "\"\n\"",
        "1},\"route\":\"x\"",
        "[01]",
        "tru",
    ] {
        assert!(encode(&of(Payload::from(text))).is_err(), "{text}");
    }
}

/// Each size of a header, with what stands behind it.
#[test]
fn arrays_objects_and_strings_may_have_any_length() {
    for count in [0, 1, 15, 16, 255, 256, 65_536] {
        let numbers: Vec<Value> = (0..count).map(|n| Value::from(n % 5)).collect();
        let text = Payload::json(&(0..count).map(|n| n % 5).collect::<Vec<_>>()).unwrap();
        let inner = format!("[{},7]", std::str::from_utf8(text.as_bytes()).unwrap());
        assert_eq!(
            value(&inner),
            Value::Array(vec![Value::Array(numbers), 7.into()])
        );
        assert_eq!(json(value(&inner)), inner);
        let entries: Vec<String> = (0..count).map(|n| format!("\"{n}\":{n}")).collect();
        let object = format!("{{{}}}", entries.join(","));
        assert_eq!(json(value(&object)), object);
        let string = format!("\"{}\"", "x".repeat(count));
        assert_eq!(json(value(&string)), string);
    }
}

/// However deep it is, it is data up to 128, and an error from there on.
#[test]
fn what_is_nested_is_bounded_in_both_directions() {
    let arrays = |depth: usize| {
        let mut frame = b"\x82\xa2id\x07\xa4data".to_vec();
        frame.extend(std::iter::repeat_n(0x91, depth));
        frame.push(0xc0);
        frame
    };
    let maps = |depth: usize| {
        let mut frame = b"\x81\xa4data".to_vec();
        frame.extend(b"\x81\xa1a".repeat(depth));
        frame.push(0xc0);
        frame
    };
    for frame in [arrays(128), maps(128)] {
        let message = decode(frame).unwrap();
        assert_eq!(decode(encode(&message).unwrap()).unwrap(), message);
    }
    for depth in [129, 100_000] {
        for frame in [arrays(depth), maps(depth)] {
            assert!(
                reason(frame).contains("nested more than 128 deep"),
                "{depth}"
            );
        }
        for (open, close) in [("[", "]"), ("{\"a\":[", "]}"), (" [ 1 , ", "]")] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let error = encode(&of(Payload::from(text))).unwrap_err();
            assert!(error.to_string().contains("at most 128 deep"), "{error}");
        }
    }
    let text = format!("{}{}", "[".repeat(128), "]".repeat(128));
    assert!(encode(&of(Payload::from(text))).is_ok());
}

/// What a client publishes is bytes where it says so in its own way.
#[test]
fn a_publication_may_be_bytes() {
    let publish = |route: &str, data: Value| {
        let message = read(&map! { "route" => route, "data" => data });
        serde_json::from_slice::<serde_json::Value>(message.data().as_bytes()).unwrap()
    };
    let bytes = || Value::Binary(b"\xff\x00\"".to_vec());
    let plain = map! { "room" => "a", "data" => bytes() };
    let expected = serde_json::json!({"room": "a", "data": "/wAi", "encoding": "base64"});
    assert_eq!(publish("publish", plain.clone()), expected);
    // On other routes it is data like any other.
    assert_eq!(publish("other", plain)["encoding"], serde_json::Value::Null);
    let said = map! { "room" => "a", "data" => bytes(), "encoding" => Value::Nil };
    assert_eq!(
        publish("publish", said)["encoding"],
        serde_json::Value::Null
    );
    for data in [
        map! { "data" => "/wAi" },
        map! { "other" => bytes() },
        Value::Array(vec![]),
    ] {
        assert!(publish("publish", data).get("encoding").is_none());
    }
}
