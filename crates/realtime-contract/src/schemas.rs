//! The schemas of a document, each type once.
//!
//! serde may read a type in another form than it writes it: a field with a default may be left out of
//! what is read, and is always there in what is written. So there is one generator for what the server
//! reads and one for what it writes, and a type of two forms gets two names.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

use crate::{asyncapi::type_name, entry::MakeSchema};

const READ: &str = "/read";
const WRITTEN: &str = "/written";

/// Collects schemas.
pub(crate) struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    pub(crate) fn new() -> Self {
        // AsyncAPI's own schemas are those of draft 7, and its parser knows no later ones.
        let generator = |path: &'static str| {
            SchemaSettings::draft07().with(|settings| settings.definitions_path = path.into())
        };
        Self {
            read: generator(READ).into_generator(),
            written: generator(WRITTEN).for_serialize().into_generator(),
        }
    }

    /// Of what the server reads.
    pub(crate) fn read(&mut self, make: MakeSchema) -> Value {
        made(&mut self.read, make)
    }

    /// Of what the server writes.
    pub(crate) fn written(&mut self, make: MakeSchema) -> Value {
        made(&mut self.written, make)
    }

    /// To which definition of what is written a schema refers.
    pub(crate) fn definition(&self, reference: &str) -> Option<&Value> {
        let name = reference.strip_prefix(&format!("#{WRITTEN}/"))?;
        self.written.definitions().get(&unescaped(name))
    }

    /// All of them by their names in the document, in which references are made to name them.
    /// None has one of the reserved names.
    pub(crate) fn finish(mut self, document: &mut Value, reserved: &[&str]) -> Map<String, Value> {
        let read = self.read.take_definitions(true);
        let written = self.written.take_definitions(true);
        let names = Names::of(&read, &written, reserved);
        let read = read.into_iter().map(|(name, schema)| (READ, name, schema));
        let written = written
            .into_iter()
            .map(|(name, schema)| (WRITTEN, name, schema));
        let mut all = BTreeMap::new();
        for (side, name, mut schema) in read.chain(written) {
            names.point(&mut schema);
            all.insert(names.name(side, &name), schema);
        }
        names.point(document);
        all.into_iter().collect()
    }
}

/// A schema, which is a reference where the type has a name.
fn made(generator: &mut SchemaGenerator, make: MakeSchema) -> Value {
    let mut schema = make(generator);
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    schema.to_value()
}

/// What the types are called in the document.
struct Names(BTreeMap<(&'static str, String), String>);

impl Names {
    fn of(read: &Map<String, Value>, written: &Map<String, Value>, reserved: &[&str]) -> Self {
        let different = different(read, written);
        let mut names = BTreeMap::new();
        let mut taken: BTreeSet<String> = reserved.iter().map(|&name| name.to_owned()).collect();
        let mut free = |mut name: String| {
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            name
        };
        // Those of one form keep their names, whatever the others are called.
        let all: BTreeSet<&String> = read.keys().chain(written.keys()).collect();
        for name in all.iter().filter(|name| !different.contains(**name)) {
            let free = free(type_name(name));
            for side in [READ, WRITTEN] {
                names.insert((side, (*name).clone()), free.clone());
            }
        }
        for name in &different {
            for (side, ending) in [(READ, "Input"), (WRITTEN, "Output")] {
                let free = free(type_name(name) + ending);
                names.insert((side, name.clone()), free);
            }
        }
        Self(names)
    }

    fn name(&self, side: &'static str, name: &str) -> String {
        let known = self.0.get(&(side, name.to_owned()));
        known.cloned().unwrap_or_else(|| type_name(name))
    }

    /// Makes all references in a schema name what is in the document.
    fn point(&self, schema: &mut Value) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::String(path)) = fields.get_mut("$ref") {
                    for side in [READ, WRITTEN] {
                        let name = path.strip_prefix(&format!("#{side}/")).map(unescaped);
                        if let Some(name) = name {
                            *path = format!("#/components/schemas/{}", self.name(side, &name));
                            break;
                        }
                    }
                }
                fields.values_mut().for_each(|field| self.point(field));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.point(item)),
            _ => {}
        }
    }
}

/// The names that mean something else on the two sides, by themselves or by what they refer to.
fn different(read: &Map<String, Value>, written: &Map<String, Value>) -> BTreeSet<String> {
    let both = || {
        read.iter()
            .filter_map(|(n, r)| Some((n, r, written.get(n)?)))
    };
    let mut different = BTreeSet::new();
    loop {
        let before = different.len();
        for (name, read, written) in both() {
            let differs =
                !is_same(read, written) || references(read).any(|other| different.contains(&other));
            if differs {
                different.insert(name.clone());
            }
        }
        if different.len() == before {
            return different;
        }
    }
}

/// Whether two schemas are the same but for the side to which they refer.
fn is_same(read: &Value, written: &Value) -> bool {
    match (read, written) {
        (Value::Object(read), Value::Object(written)) => {
            let same = |(key, value): (&String, &Value)| {
                let Some(other) = written.get(key) else {
                    return false;
                };
                match (key.as_str(), value, other) {
                    ("$ref", Value::String(value), Value::String(other)) => {
                        let (value, other) = (value.strip_prefix('#'), other.strip_prefix('#'));
                        value.and_then(|path| path.strip_prefix(READ))
                            == other.and_then(|path| path.strip_prefix(WRITTEN))
                    }
                    _ => is_same(value, other),
                }
            };
            read.len() == written.len() && read.iter().all(same)
        }
        (Value::Array(read), Value::Array(written)) => {
            let pairs = || read.iter().zip(written);
            read.len() == written.len() && pairs().all(|(read, written)| is_same(read, written))
        }
        (read, written) => read == written,
    }
}

/// The names to which a schema of what is read refers.
fn references(schema: &Value) -> Box<dyn Iterator<Item = String> + '_> {
    match schema {
        Value::Object(fields) => Box::new(fields.iter().flat_map(|(key, value)| {
            let path = value.as_str().filter(|_| key == "$ref");
            let name = path.and_then(|path| path.strip_prefix(&format!("#{READ}/")).map(unescaped));
            name.into_iter().chain(references(value))
        })),
        Value::Array(items) => Box::new(items.iter().flat_map(references)),
        _ => Box::new(std::iter::empty()),
    }
}

/// A name as it stands behind the last slash of a reference.
fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}
