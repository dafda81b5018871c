//! Whether errors are serialised as clients read them: with a code of which all values are known, and
//! nothing else but data.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::schemas::Schemas;

/// Whether all that fits a schema of what is written is a refusal.
pub(crate) fn are_refusals(schemas: &Schemas, schema: &Value) -> bool {
    let path = BTreeSet::new();
    let found = Look { schemas, path }.fields(schema);
    found.code && !found.others
}

/// What the objects of a schema have.
#[derive(Debug, Clone, Copy)]
struct Fields {
    /// A code, always, and one of a few strings.
    code: bool,
    /// Some have more than a code and data.
    others: bool,
}

/// Follows references, of which it knows those that lead to where it is.
struct Look<'s> {
    schemas: &'s Schemas,
    path: BTreeSet<&'s str>,
}

impl<'s> Look<'s> {
    fn fields(&mut self, schema: &'s Value) -> Fields {
        let required = every(schema, "required");
        let is_required = required.iter().any(|name| name == "code");
        let mut found = Fields {
            code: is_required && self.are_codes(&schema["properties"]["code"]),
            others: !matches!(
                schema.get("additionalProperties"),
                None | Some(Value::Bool(false))
            ),
        };
        if let Some(Value::Object(properties)) = schema.get("properties") {
            found.others |= properties
                .keys()
                .any(|name| name != "code" && name != "data");
        }
        // What fits all of them has the fields of each.
        let mut add = |part: Fields| {
            found.code |= part.code;
            found.others |= part.others;
        };
        // A type that is a variant of itself has no fields by that.
        let nothing = Fields {
            code: true,
            others: false,
        };
        if let Some(target) = self.behind(schema, nothing, Self::fields) {
            add(target);
        }
        for part in every(schema, "allOf") {
            add(self.fields(part));
        }
        for either in ["oneOf", "anyOf"] {
            let variants = every(schema, either).iter();
            let each = variants.map(|variant| self.fields(variant));
            let all = each.reduce(|one, other| Fields {
                code: one.code && other.code,
                others: one.others || other.others,
            });
            all.into_iter().for_each(&mut add);
        }
        found
    }

    /// Whether what fits it is one of a few strings.
    fn are_codes(&mut self, schema: &'s Value) -> bool {
        let mut values = every(schema, "enum").iter().chain(schema.get("const"));
        if let Some(first) = values.next() {
            return first.is_string() && values.all(Value::is_string);
        }
        if self.behind(schema, true, Self::are_codes) == Some(true)
            || every(schema, "allOf")
                .iter()
                .any(|part| self.are_codes(part))
        {
            return true;
        }
        ["oneOf", "anyOf"].iter().any(|either| {
            let variants = every(schema, either);
            !variants.is_empty() && variants.iter().all(|variant| self.are_codes(variant))
        })
    }

    /// What is said of that to which a schema refers; `again` where that leads back to itself.
    fn behind<T>(
        &mut self,
        schema: &'s Value,
        again: T,
        look: impl FnOnce(&mut Self, &'s Value) -> T,
    ) -> Option<T> {
        let reference = schema.get("$ref")?.as_str()?;
        let definition = self.schemas.definition(reference)?;
        if !self.path.insert(reference) {
            return Some(again);
        }
        let said = look(self, definition);
        self.path.remove(reference);
        Some(said)
    }
}

fn every<'v>(schema: &'v Value, name: &str) -> &'v [Value] {
    let all = schema.get(name).and_then(Value::as_array);
    all.map_or(&[], Vec::as_slice)
}
