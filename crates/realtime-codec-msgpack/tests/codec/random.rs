//! Whatever is sent and whatever comes.

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use proptest::{collection::vec, prelude::*};
use realtime_core::{Exchange, PayloadKind};
use serde_json::json;

use super::*;

/// Any JSON, as `serde_json` writes it.
fn documents() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,20}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Into::into),
            vec((any::<String>(), inner), 0..20).prop_map(|entries| entries
                .into_iter()
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

/// Any MessagePack.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f32>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        vec(any::<u8>(), 0..40).prop_map(Value::Binary),
        (any::<i8>(), vec(any::<u8>(), 0..20)).prop_map(|(kind, data)| Value::Ext(kind, data)),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::Array),
            vec((inner.clone(), inner), 0..8).prop_map(Value::Map),
        ]
    })
}

/// What it has to be as JSON, where it has a form.
fn model(value: &Value) -> Option<String> {
    let all = |parts: Option<Vec<String>>| parts.map(|parts| parts.join(","));
    Some(match value {
        Value::Nil => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::F32(number) => json!(f64::from(*number)).to_string(),
        Value::F64(number) => json!(number).to_string(),
        Value::String(text) => json!(text.as_str()?).to_string(),
        Value::Binary(bytes) => json!(BASE64.encode(bytes)).to_string(),
        Value::Array(values) => format!("[{}]", all(values.iter().map(model).collect())?),
        Value::Map(pairs) => {
            let pair = |(key, value): &(Value, Value)| {
                let key = match key {
                    Value::Integer(number) => json!(number.to_string()),
                    Value::String(name) => json!(name.as_str()?),
                    _ => return None,
                };
                Some(format!("{key}:{}", model(value)?))
            };
            format!("{{{}}}", all(pairs.iter().map(pair).collect())?)
        }
        // How `undefined` is written.
        Value::Ext(0, data) if data == &[0] => "null".to_owned(),
        Value::Ext(..) => return None,
    })
}

fn payloads() -> impl Strategy<Value = Payload> {
    prop_oneof![
        Just(Payload::empty()),
        vec(any::<u8>(), 0..300).prop_map(Payload::binary),
        documents().prop_map(|document| Payload::json(&document).unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_encoded_is_decoded(
        id in prop::option::of(prop_oneof![
            "\\PC{0,20}".prop_map(realtime_core::MessageId::from),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
        ]),
        route in "\\PC{0,20}", data in payloads(), offset: Option<u64>,
        metadata in prop::collection::btree_map("\\PC{0,5}", "\\PC{0,5}", 0..20),
        exchange in prop::option::of((0..3, any::<u64>(), "\\PC{0,5}", any::<bool>())),
    ) {
        let mut parts = Message::new(route.as_str(), data).unwrap().into_parts();
        (parts.id, parts.offset, parts.metadata) = (id, offset, Some(metadata));
        parts.exchange = exchange.map(|(which, id, text, temporary)| {
            let error = ClientError::new(text.clone(), text);
            let error = if temporary { error.temporary() } else { error };
            match which {
                0 => Exchange::Request(id.into()),
                1 => Exchange::Reply(id.into()),
                _ => Exchange::Refusal(id.into(), error),
            }
        });
        let message = Message::from_parts(parts);
        let frame = encode(&message).unwrap();
        unpacked(&frame);
        let decoded = decode(frame).unwrap();
        prop_assert_eq!(decoded.data().kind(), message.data().kind());
        prop_assert_eq!(decoded, message);
    }

    #[test]
    fn what_comes_is_read_as_the_model_says(value in values()) {
        let frame = packed(&map! { "data" => value.clone() });
        match (decode(frame.clone()), model(&value)) {
            (Ok(message), _) if matches!(value, Value::Binary(_)) => {
                prop_assert_eq!(message.data().as_bytes(), value.as_slice().unwrap());
            }
            (Ok(message), Some(text)) => {
                prop_assert_eq!(std::str::from_utf8(message.data().as_bytes()).unwrap(), text);
                prop_assert_eq!(message.data().kind(), PayloadKind::Json);
                prop_assert!(message.data().len() <= 6 * frame.len());
                prop_assert_eq!(decode(encode(&message).unwrap()).unwrap(), message);
            }
            (Err(error), None) => prop_assert_eq!(error.kind(), CodecErrorKind::Malformed),
            (ours, model) => prop_assert!(false, "{ours:?} {model:?}"),
        }
    }

    #[test]
    fn garbage_never_panics(
        mut frame in prop_oneof![
            vec(any::<u8>(), 0..200),
            values().prop_map(|value| packed(&map! { "id" => 1, "route" => "publish", "data" => value }).to_vec()),
        ],
        at: prop::sample::Index, with: u8, cut: Option<prop::sample::Index>,
    ) {
        if !frame.is_empty() {
            let at = at.index(frame.len());
            frame[at] = with;
        }
        if let Some(cut) = cut {
            frame.truncate(cut.index(frame.len() + 1));
        }
        match decode(frame) {
            Ok(message) => prop_assert_eq!(decode(encode(&message).unwrap()).unwrap(), message),
            Err(error) => prop_assert_eq!(error.kind(), CodecErrorKind::Malformed),
        }
    }
}
