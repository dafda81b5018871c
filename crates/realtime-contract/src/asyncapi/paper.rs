//! A document that is being written: what is said on which channel, each in its place.

use serde_json::{Map, Value, json};

use super::{
    envelope::{Envelope, any_error, error_data},
    keys::component,
};
use crate::{
    entry::{Asked, Heard, Inquiry, MakeSchema},
    schemas::Schemas,
};

/// The channel that is the connection.
pub(super) const CONNECTION: &str = "gateway";

/// The tag of what the gateway does by itself, whatever the application declares.
const OWN_TAG: &str = "gateway";

/// A document that is being written.
pub(super) struct Paper<'s> {
    pub(super) schemas: &'s mut Schemas,
    /// With which every request may be answered.
    pub(super) common: Vec<Value>,
    pub(super) channels: Map<String, Value>,
    pub(super) operations: Map<String, Value>,
    /// What has the place of something else.
    pub(super) wrong: Vec<String>,
}

/// Who says it, and whether for an answer: each has its own namespace on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) struct Said<'a> {
    pub(super) channel: &'a str,
    pub(super) route: &'a str,
    pub(super) kind: Kind,
    pub(super) is_own: bool,
    pub(super) message: (String, Value),
    /// Empty where there is no answer.
    pub(super) answers: Vec<(String, Value)>,
}

impl Paper<'_> {
    pub(super) fn channel(&mut self, key: &str, mut channel: Value) {
        channel["messages"] = json!({});
        put(
            &mut self.channels,
            &mut self.wrong,
            "channel",
            key.to_owned(),
            channel,
        );
    }

    pub(super) fn request(&mut self, asked: &Asked) {
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

    pub(super) fn question(&mut self, inquiry: &Inquiry) {
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

    pub(super) fn event(&mut self, channel: &str, heard: &Heard, envelope: Envelope) {
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
    pub(super) fn own_request(
        &mut self,
        channel: &str,
        route: &str,
        data: Value,
        reply: Option<Value>,
    ) {
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

    pub(super) fn say(&mut self, said: Said<'_>) {
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

    pub(super) fn written(&mut self, make: Option<MakeSchema>) -> Option<Value> {
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
