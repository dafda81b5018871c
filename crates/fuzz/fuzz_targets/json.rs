//! Envelopes in JSON: garbage is refused as malformed; what is read is written and read the same,
//! and is what a parser of another make reads.
#![no_main]

use std::collections::BTreeMap;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use realtime::{
    Message,
    codec::{Codec, CodecErrorKind, Frame, JsonCodec},
    message::Text,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

/// An envelope as one would write it down without a thought for copies and limits.
#[derive(Deserialize)]
struct Plain {
    #[serde(default, deserialize_with = "not_null")]
    id: Option<String>,
    #[serde(default)]
    route: String,
    #[serde(default, deserialize_with = "not_null")]
    data: Option<Box<RawValue>>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

fn not_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Ours and the plain one read the same, or both read nothing.
fn compare(text: &str, ours: Option<&Message>) {
    // A struct that is derived may be a list, too.
    let is_object = text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{');
    let plain = serde_json::from_str::<Plain>(text)
        .ok()
        .filter(|_| is_object);
    let Some(ours) = ours else {
        let is_within_limits = plain.is_some_and(|plain| {
            let id = plain.id.map_or(0, |id| id.len());
            // A name twice in the metadata is for us to refuse.
            id <= 256 && plain.route.len() <= 256 && plain.metadata.is_empty()
        });
        let has_empty = serde_json::from_str::<Value>(text).ok();
        let has_empty = has_empty.is_some_and(|value| value.get("metadata").is_some());
        assert!(!is_within_limits || has_empty, "refused: {text}");
        return;
    };
    let plain = plain.expect("what is taken is an envelope");
    assert_eq!(ours.id(), plain.id.as_deref());
    assert_eq!(ours.route(), plain.route);
    let data = plain.data.as_deref().map_or("", RawValue::get);
    assert_eq!(ours.data().as_bytes(), data.as_bytes());
    assert_eq!(ours.metadata().cloned().unwrap_or_default(), plain.metadata);
    // Unlike the raw path, this one looks into the data, and refuses what is too deep for it.
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let data = value.get("data").cloned().unwrap_or_default();
        assert_eq!(ours.decode::<Value>().expect("data"), data);
    }
}

fuzz_target!(|text: String| {
    let decoded = JsonCodec.decode(Frame::Text(text.clone().into()));
    compare(&text, decoded.as_ref().ok());
    let message = match decoded {
        Ok(message) => message,
        Err(error) => return assert_eq!(error.kind(), CodecErrorKind::Malformed),
    };
    let mut out = BytesMut::new();
    JsonCodec
        .encode(&message, &mut out)
        .expect("what was read can be written");
    let text = Text::try_from(out.freeze()).expect("text frames are UTF-8");
    let again = JsonCodec
        .decode(Frame::Text(text))
        .expect("what was written can be read");
    assert_eq!(again, message);
});
