//! The fields of an envelope as they came, whatever is in them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::values::Name;

/// The fields as they came.
#[derive(Default)]
pub(super) struct Fields<'f> {
    pub(super) id: Option<&'f RawValue>,
    pub(super) route: Option<&'f RawValue>,
    pub(super) data: Option<&'f RawValue>,
    pub(super) metadata: Option<&'f RawValue>,
    pub(super) room: Option<&'f RawValue>,
    pub(super) offset: Option<&'f RawValue>,
    pub(super) request: Option<&'f RawValue>,
    pub(super) reply: Option<&'f RawValue>,
    pub(super) error: Option<&'f RawValue>,
    pub(super) encoding: Option<&'f RawValue>,
    /// One that came more than once.
    pub(super) twice: Option<&'static str>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Name(field)) = map.next_key::<Name<'de>>()? {
            let (name, slot) = match &*field {
                "id" => ("id", &mut fields.id),
                "route" => ("route", &mut fields.route),
                "data" => ("data", &mut fields.data),
                "metadata" => ("metadata", &mut fields.metadata),
                "room" => ("room", &mut fields.room),
                "offset" => ("offset", &mut fields.offset),
                "request" => ("request", &mut fields.request),
                "reply" => ("reply", &mut fields.reply),
                "error" => ("error", &mut fields.error),
                "encoding" => ("encoding", &mut fields.encoding),
                _ => {
                    map.next_value::<de::IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                fields.twice = Some(name);
            }
        }
        Ok(fields)
    }
}
