//! The document of a contract, in AsyncAPI 3.0, as the server sees it: it receives requests and sends
//! events.
//!
//! One channel is the connection, and one each kind of room, whose messages come over the same
//! connection. A message is described as it stands on the wire in JSON, with its envelope.
//!
//! | | key of its channel | key of its operation |
//! | --- | --- | --- |
//! | requests | `gateway` | `receive.ROUTE` |
//! | events | `gateway` | `send.ROUTE` |
//! | questions | `gateway` | `ask.ROUTE` |
//! | in rooms | `room.PATTERN` | `room.PATTERN.receive.ROUTE`, `room.PATTERN.send.ROUTE` |

mod envelope;
mod keys;
mod own;
mod paper;
mod room;

use serde_json::{Map, Value, json};

use self::{
    envelope::Envelope,
    paper::{CONNECTION, Paper},
};
use crate::{Contract, schemas::Schemas};

pub(crate) use keys::type_name;

/// The document of a contract that was checked.
///
/// # Errors
/// When two declarations that are not the same have one place in it: all such places.
pub(crate) fn document(contract: &Contract, mut schemas: Schemas) -> Result<Value, Vec<String>> {
    let mut paper = Paper {
        schemas: &mut schemas,
        common: Vec::new(),
        channels: Map::new(),
        operations: Map::new(),
        wrong: Vec::new(),
    };
    paper.common = contract
        .errors
        .iter()
        .map(|make| paper.schemas.written(*make))
        .collect();
    paper.channel(
        CONNECTION,
        json!({
            "address": contract.path,
            "description": "The connection: JSON envelopes in text frames.",
            "bindings": { "ws": { "method": "GET", "bindingVersion": "0.1.0" } },
        }),
    );
    own::describe(&mut paper);
    for asked in &contract.requests {
        paper.request(asked);
    }
    for inquiry in &contract.questions {
        paper.question(inquiry);
    }
    for heard in &contract.events {
        let envelope = Envelope::on(heard.route);
        paper.event(CONNECTION, heard, envelope);
    }
    for room in &contract.rooms {
        room::describe(&mut paper, room);
    }
    let Paper {
        channels,
        operations,
        wrong,
        ..
    } = paper;
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut info = json!({ "title": contract.title, "version": contract.version });
    if !contract.description.is_empty() {
        info["description"] = contract.description.as_str().into();
    }
    let correlation = |field| json!({ "location": format!("$message.payload#/{field}") });
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": info,
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "correlationIds": {
                "id": correlation("id"),
                "reply": correlation("reply"),
                "request": correlation("request"),
            },
        },
    });
    let own = envelope::OWN.map(|own| own.name);
    let mut all = schemas.finish(&mut document, &own);
    all.extend(envelope::OWN.map(|own| (own.name.to_owned(), (own.schema)())));
    document["components"]["schemas"] = Value::Object(all);
    Ok(sorted(document))
}

/// The same with all fields in alphabetical order, whatever serde_json was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            let sorted = fields.into_iter().map(|(key, field)| (key, sorted(field)));
            Value::Object(sorted.collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        value => value,
    }
}
