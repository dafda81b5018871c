//! From MessagePack to JSON: a value that serialises itself while it is read, so that what comes
//! out is JSON without being looked at again.

use std::cell::Cell;

use base64::{display::Base64Display, prelude::BASE64_STANDARD as BASE64};
use realtime_core::Payload;
use serde::{
    Serialize, Serializer,
    ser::{Error, SerializeMap, SerializeSeq},
};

use crate::{
    MAX_DEPTH,
    read::{Item, Reader},
};

/// How deep in the answer to `recover` the envelopes of the messages that were missed stand: the data
/// is a map with an array of them.
const MISSED_AT: usize = 2;

/// One whole value as JSON; or what is wrong with it, without a word of what is in it.
pub(crate) fn payload(value: &[u8]) -> Result<Payload, String> {
    transcode(value, None, false)
}

/// The same of a map, with one more entry.
pub(crate) fn payload_with(value: &[u8], more: (&str, &str)) -> Result<Payload, String> {
    transcode(value, Some(more), false)
}

/// The same of the data of `recover`: an envelope in it whose data is bytes says so, as it does in JSON.
pub(crate) fn payload_of_recover(value: &[u8]) -> Result<Payload, String> {
    transcode(value, None, true)
}

fn transcode(value: &[u8], more: Option<(&str, &str)>, marks: bool) -> Result<Payload, String> {
    let source = Source {
        reader: Cell::new(Reader::new(value)),
        wrong: Cell::new(None),
        marks,
    };
    let value = Value {
        source: &source,
        depth: MAX_DEPTH,
        more,
    };
    Payload::json(&value).map_err(|_| {
        let wrong = source.wrong.take();
        let wrong = wrong.unwrap_or("a value that can't be written as JSON");
        format!("expected \"data\" that has a form as JSON; got {wrong}")
    })
}

/// What the values of one piece of data are read from.
struct Source<'f> {
    reader: Cell<Reader<'f>>,
    /// The reason why there is no JSON. serde's own errors can't carry it.
    wrong: Cell<Option<&'static str>>,
    /// Whether envelopes stand in it that say it where their data is bytes.
    marks: bool,
}

/// The next value of a source.
struct Value<'s, 'f> {
    source: &'s Source<'f>,
    /// How deep others may be in it.
    depth: usize,
    /// What is to stand in it, if it is a map, behind its own.
    more: Option<(&'s str, &'s str)>,
}

impl<'f> Source<'f> {
    fn item<E: Error>(&self) -> Result<Item<'f>, E> {
        let mut reader = self.reader.get();
        let item = reader.item().map_err(|broken| self.fail(broken.what()));
        self.reader.set(reader);
        item
    }

    /// Whether the next value is bytes.
    fn has_bytes(&self) -> bool {
        let mut reader = self.reader.get();
        matches!(reader.item(), Ok(Item::Binary(_)))
    }

    fn text<E: Error>(&self, text: &'f [u8]) -> Result<&'f str, E> {
        std::str::from_utf8(text).map_err(|_| self.fail("a string that is not UTF-8"))
    }

    #[cold]
    fn fail<E: Error>(&self, wrong: &'static str) -> E {
        self.wrong.set(Some(wrong));
        E::custom(wrong)
    }
}

impl<'s, 'f> Value<'s, 'f> {
    fn inner<E: Error>(&self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| self.source.fail("data nested more than 128 deep"))?;
        Ok(Value {
            source: self.source,
            depth,
            more: None,
        })
    }
}

impl Serialize for Value<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.source.item()? {
            Item::Nil => serializer.serialize_unit(),
            Item::Bool(value) => serializer.serialize_bool(value),
            Item::Unsigned(number) => serializer.serialize_u64(number),
            Item::Negative(number) => serializer.serialize_i64(number),
            Item::Float(number) => serializer.serialize_f64(number),
            Item::Text(text) => serializer.serialize_str(self.source.text(text)?),
            Item::Binary(bytes) => serializer.collect_str(&Base64Display::new(bytes, &BASE64)),
            Item::Array(values) => {
                let inner = self.inner()?;
                // What it claims is believed value by value.
                let mut array = serializer.serialize_seq(None)?;
                for _ in 0..values {
                    array.serialize_element(&inner)?;
                }
                array.end()
            }
            Item::Map(pairs) => {
                let inner = self.inner()?;
                let is_envelope = self.source.marks && self.depth + MISSED_AT == MAX_DEPTH;
                let mut has_bytes = false;
                let mut map = serializer.serialize_map(None)?;
                for _ in 0..pairs {
                    match self.source.item()? {
                        Item::Text(name) => {
                            has_bytes |= is_envelope && name == b"data" && self.source.has_bytes();
                            map.serialize_key(self.source.text(name)?)?;
                        }
                        Item::Unsigned(number) => map.serialize_key(&number)?,
                        Item::Negative(number) => map.serialize_key(&number)?,
                        _ => {
                            let wrong = "a map with a key that is neither a string nor an integer";
                            return Err(self.source.fail(wrong));
                        }
                    }
                    map.serialize_value(&inner)?;
                }
                if has_bytes {
                    map.serialize_entry("encoding", "base64")?;
                }
                if let Some((name, value)) = self.more {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
            Item::Extension => Err(self.source.fail("an extension type")),
        }
    }
}
