//! Rooms: what is said in them, and how clients come in.

use serde_json::{Map, Value, json};

use super::{envelope::Envelope, keys::channel_of, paper::Paper};
use crate::{Member, Room, entry::Typed};

pub(super) fn describe(paper: &mut Paper<'_>, room: &Room) {
    let parts = parts(&room.pattern);
    let channel = channel_of(&room.pattern);
    let parameters = parts.iter().filter_map(|part| match part {
        Part::Text(_) => None,
        Part::Parameter(name) => Some(((*name).to_owned(), json!({}))),
    });
    let mut description =
        "Rooms. Their messages come over the connection, and say which it is.".to_owned();
    if !room.summary.is_empty() {
        description = format!("{} {description}", room.summary);
    }
    paper.channel(
        &channel,
        json!({
            "address": room.pattern,
            "description": description,
            "parameters": parameters.collect::<Map<String, Value>>(),
        }),
    );
    let name = name(&parts);
    for heard in &room.events {
        let envelope = Envelope::on(heard.route)
            .with("room", name.clone(), true)
            .with("offset", json!({ "type": "integer", "minimum": 1 }), false);
        paper.event(&channel, heard, envelope);
    }
    if room.clients_join {
        joining(paper, &channel, &name);
    }
    if let Some(published) = &room.published {
        publishing(paper, &channel, &name, published.data);
    }
    if room.announced.is_some() {
        attending(paper, &channel, &name);
    }
}

fn joining(paper: &mut Paper<'_>, channel: &str, name: &Value) {
    let position = || json!({ "$ref": "#/components/schemas/GatewayPosition" });
    let which = object(&[("room", name.clone())], &[]);
    let joined = object(&[], &[("position", position())]);
    paper.own_request(channel, "join", which.clone(), Some(joined));
    paper.own_request(channel, "leave", which, None);
    let whence = object(
        &[
            ("room", name.clone()),
            ("epoch", json!({ "type": "string" })),
            ("offset", json!({ "type": "integer", "minimum": 0 })),
        ],
        &[],
    );
    let recovered = object(
        &[("recovered", json!({ "type": "boolean" }))],
        &[
            ("position", position()),
            (
                "missed",
                json!({ "type": "array", "items": { "type": "object" } }),
            ),
        ],
    );
    paper.own_request(channel, "recover", whence, Some(recovered));
}

fn publishing(paper: &mut Paper<'_>, channel: &str, name: &Value, published: Typed) {
    let key = ("key", json!({ "type": "string" }));
    let mut required = vec![("room", name.clone())];
    if let Some(data) = paper.written(published.schema) {
        required.push(("data", data));
    }
    paper.own_request(channel, "publish", object(&required, &[key]), None);
}

fn attending(paper: &mut Paper<'_>, channel: &str, name: &Value) {
    let number = || json!({ "type": "integer", "minimum": 0 });
    let page = [("after", number()), ("limit", number())];
    let asked = object(&[("room", name.clone())], &page);
    let members = paper
        .schemas
        .written(|generator| generator.subschema_for::<Vec<Member>>());
    let told = object(
        &[("members", members), ("count", number())],
        &[("after", number())],
    );
    paper.own_request(channel, "members", asked, Some(told));
}

fn object(required: &[(&str, Value)], others: &[(&str, Value)]) -> Value {
    let fields = required.iter().chain(others);
    let fields = fields.map(|(name, schema)| ((*name).to_owned(), schema.clone()));
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    json!({
        "type": "object",
        "properties": fields.collect::<Map<String, Value>>(),
        "required": names,
    })
}

enum Part<'p> {
    Text(&'p str),
    Parameter(&'p str),
}

/// The parts of a pattern, which the gateway checks when it is built.
fn parts(pattern: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), pattern);
    while let Some((text, behind)) = rest.split_once('{') {
        let Some((name, behind)) = behind.split_once('}') else {
            break;
        };
        parts.extend([Part::Text(text), Part::Parameter(name)]);
        rest = behind;
    }
    parts.push(Part::Text(rest));
    parts
}

/// The schema of the names of these rooms.
fn name(parts: &[Part<'_>]) -> Value {
    if let [Part::Text(name)] = parts {
        return json!({ "const": name });
    }
    let mut pattern = "^".to_owned();
    for part in parts {
        match part {
            Part::Text(text) => {
                for c in text.chars() {
                    if "\\^$.|?*+()[]{}/".contains(c) {
                        pattern.push('\\');
                    }
                    pattern.push(c);
                }
            }
            Part::Parameter(_) => pattern.push_str(".+"),
        }
    }
    pattern.push('$');
    json!({ "type": "string", "pattern": pattern })
}
