//! What the gateway says by itself on every connection.

use serde_json::{Value, json};

use super::{
    envelope::{Envelope, any_error},
    paper::{CONNECTION, Kind, Paper, Said},
};

pub(super) fn describe(paper: &mut Paper<'_>) {
    paper.own_request(CONNECTION, "ping", Value::Null, None);
    let missed = json!({
        "type": "object",
        "properties": {
            "missed": { "type": "integer", "minimum": 1 },
            "rooms": {
                "type": "object",
                "additionalProperties": { "$ref": "#/components/schemas/GatewayPosition" },
            },
        },
        "required": ["missed"],
    });
    let seconds = json!({
        "type": "object",
        "properties": { "seconds": { "type": "integer", "minimum": 0 } },
        "required": ["seconds"],
    });
    let room = json!({
        "type": "object",
        "properties": { "room": { "type": "string" } },
        "required": ["room"],
    });
    let notices = [
        (
            "error",
            any_error(),
            "What was sent can't be read, or is too much, and has no id.",
        ),
        ("expiring", seconds, "What this client has shown ends soon."),
        ("gap", missed, "Messages for this client were lost."),
        ("removed", room, "This client is no longer in a room."),
    ];
    for (route, data, summary) in notices {
        let message = Envelope::on(route).data(Some(data)).message(route, summary);
        paper.say(Said {
            channel: CONNECTION,
            route,
            kind: Kind::Sent,
            is_own: true,
            message: (format!("{route}.notice"), message),
            answers: Vec::new(),
        });
    }
}
