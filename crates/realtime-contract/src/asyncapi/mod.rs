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
mod own;
mod room;

use serde_json::{Map, Value, json};

use self::envelope::{Envelope, any_error, error_data};
use crate::{
    Contract,
    entry::{Asked, Heard, Inquiry, MakeSchema},
    schemas::Schemas,
};

/// The channel that is the connection.
const CONNECTION: &str = "gateway";
/// The tag of what the gateway does by itself, whatever the application declares.
const OWN_TAG: &str = "gateway";

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

/// A document that is being written.
struct Paper<'s> {
    schemas: &'s mut Schemas,
    /// With which every request may be answered.
    common: Vec<Value>,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    /// What has the place of something else.
    wrong: Vec<String>,
}

/// Who says it, and whether for an answer: each has its own namespace on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The client, with or without one.
    Received,
    /// The server, without one.
    Sent,
    /// The server, with one.
    Asked,
}

impl Kind {
    /// The action of AsyncAPI.
    const fn action(self) -> &'static str {
        match self {
            Self::Received => "receive",
            Self::Sent | Self::Asked => "send",
        }
    }

    const fn namespace(self) -> &'static str {
        match self {
            Self::Received => "receive",
            Self::Sent => "send",
            Self::Asked => "ask",
        }
    }
}

/// What is said on a channel, and in which direction.
struct Said<'a> {
    channel: &'a str,
    route: &'a str,
    kind: Kind,
    is_own: bool,
    message: (String, Value),
    /// Empty where there is no answer.
    answers: Vec<(String, Value)>,
}

impl Paper<'_> {
    fn channel(&mut self, key: &str, mut channel: Value) {
        channel["messages"] = json!({});
        put(
            &mut self.channels,
            &mut self.wrong,
            "channel",
            key.to_owned(),
            channel,
        );
    }

    fn request(&mut self, asked: &Asked) {
        let route = asked.route;
        let data = self.read(asked.data.schema);
        let reply = self.written(asked.reply.schema);
        let errors = self.written(asked.errors);
        let errors = error_data(errors, &self.common);
        self.say(Said {
            channel: CONNECTION,
            route,
            kind: Kind::Received,
            is_own: false,
            message: (
                format!("{route}.request"),
                Envelope::on(route)
                    .asked()
                    .data(data)
                    .message(route, asked.summary),
            ),
            answers: vec![
                (
                    format!("{route}.reply"),
                    Envelope::on(route)
                        .answered()
                        .data(reply)
                        .message(route, ""),
                ),
                (
                    format!("{route}.error"),
                    Envelope::on("error")
                        .answered()
                        .data(Some(errors))
                        .message("error", ""),
                ),
            ],
        });
    }

    fn question(&mut self, inquiry: &Inquiry) {
        let route = inquiry.route;
        let data = self.written(inquiry.data.schema);
        let answer = self.read(inquiry.answer.schema);
        let text = || json!({ "type": "string" });
        let question = Envelope::on(route).with("request", text(), true).data(data);
        let reply = || {
            Envelope::new()
                .with("reply", text(), true)
                .correlated("reply")
        };
        let refusal = json!({
            "type": "object",
            "properties": {
                "code": { "type": "string", "maxLength": 256 },
                "message": { "type": "string" },
                "temporary": { "type": "boolean" },
                "data": {},
            },
            "required": ["code"],
        });
        self.say(Said {
            channel: CONNECTION,
            route,
            kind: Kind::Asked,
            is_own: false,
            message: (
                format!("{route}.question"),
                question
                    .correlated("request")
                    .message(route, inquiry.summary),
            ),
            answers: vec![
                (
                    format!("{route}.answer"),
                    reply().data(answer).message(route, ""),
                ),
                (
                    format!("{route}.refusal"),
                    reply().with("error", refusal, true).message(route, ""),
                ),
            ],
        });
    }

    fn event(&mut self, channel: &str, heard: &Heard, envelope: Envelope) {
        let route = heard.route;
        let data = self.written(heard.data.schema);
        let message = envelope.data(data).message(route, heard.summary);
        self.say(Said {
            channel,
            route,
            kind: Kind::Sent,
            is_own: false,
            message: (format!("{route}.event"), message),
            answers: Vec::new(),
        });
    }

    /// A request that the gateway answers by itself.
    fn own_request(&mut self, channel: &str, route: &str, data: Value, reply: Option<Value>) {
        let data = Some(data).filter(|data| !data.is_null());
        self.say(Said {
            channel,
            route,
            kind: Kind::Received,
            is_own: true,
            message: (
                format!("{route}.request"),
                Envelope::on(route).asked().data(data).message(route, ""),
            ),
            answers: vec![
                (
                    format!("{route}.reply"),
                    Envelope::on(route)
                        .answered()
                        .data(reply)
                        .message(route, ""),
                ),
                (
                    format!("{route}.error"),
                    Envelope::on("error")
                        .answered()
                        .data(Some(any_error()))
                        .message("error", ""),
                ),
            ],
        });
    }

    fn say(&mut self, said: Said<'_>) {
        let Said {
            channel,
            route,
            kind,
            is_own,
            message,
            answers,
        } = said;
        let (channels, wrong) = (&mut self.channels, &mut self.wrong);
        let mut put_message = |(key, message): (String, Value)| {
            let key = component(&key);
            let reference = format!("#/channels/{channel}/messages/{key}");
            let channel = channels.get_mut(channel).map(|it| &mut it["messages"]);
            if let Some(Value::Object(messages)) = channel {
                put(messages, wrong, "message", key, message);
            }
            json!({ "$ref": reference })
        };
        let place = || json!({ "$ref": format!("#/channels/{channel}") });
        let mut operation = json!({
            "action": kind.action(),
            "channel": place(),
            "messages": [put_message(message)],
        });
        if !answers.is_empty() {
            let answers: Vec<Value> = answers.into_iter().map(put_message).collect();
            operation["reply"] = json!({ "channel": place(), "messages": answers });
        }
        if is_own {
            operation["tags"] = json!([{ "name": OWN_TAG }]);
        }
        let key = match (channel, kind.namespace(), component(route)) {
            (CONNECTION, namespace, route) => format!("{namespace}.{route}"),
            (room, namespace, route) => format!("{room}.{namespace}.{route}"),
        };
        put(
            &mut self.operations,
            &mut self.wrong,
            "operation",
            key,
            operation,
        );
    }

    fn read(&mut self, make: Option<MakeSchema>) -> Option<Value> {
        make.map(|make| self.schemas.read(make))
    }

    fn written(&mut self, make: Option<MakeSchema>) -> Option<Value> {
        make.map(|make| self.schemas.written(make))
    }
}

/// Puts something in its place of the document. Where something else stands already, it says so: it
/// would be lost.
fn put(
    all: &mut Map<String, Value>,
    wrong: &mut Vec<String>,
    what: &str,
    key: String,
    value: Value,
) {
    match all.get(&key) {
        Some(there) if *there != value => wrong.push(format!(
            "expected one declaration for each {what} of the document; got two that differ for \
             {key:?}"
        )),
        _ => {
            all.insert(key, value);
        }
    }
}

/// A route as a key of the document, which has letters, digits and `._-`: every other byte, and `_`
/// itself, in hexadecimal digits, so that no two become the same.
fn component(route: &str) -> String {
    key(route, |byte| matches!(byte, b'.' | b'-'))
}

/// The channel of the rooms of a pattern. It has no dots but the first, so that what follows it is
/// told apart from it.
fn channel_of(pattern: &str) -> String {
    format!("room.{}", key(pattern, |byte| byte == b'-'))
}

/// The name of a type as a key. Two may become the same: who gives them out tells them apart.
pub(crate) fn type_name(name: &str) -> String {
    key(name, |byte| matches!(byte, b'.' | b'-' | b'_'))
}

fn key(name: &str, is_kept: impl Fn(u8) -> bool) -> String {
    let mut key = String::new();
    for byte in name.bytes() {
        match byte.is_ascii_alphanumeric() || is_kept(byte) {
            true => key.push(byte.into()),
            false => key.push_str(&format!("_{byte:02x}_")),
        }
    }
    key
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
