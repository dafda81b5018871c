//! Messages as they stand on the wire in the JSON envelope: see docs/protocol.md.

use serde_json::{Map, Value, json};

/// A message of the document, without its place in it.
pub(super) struct Envelope {
    fields: Map<String, Value>,
    required: Vec<&'static str>,
    /// By which field a reply is that to a request.
    correlation: Option<&'static str>,
}

impl Envelope {
    pub(super) fn new() -> Self {
        Self {
            fields: Map::new(),
            required: Vec::new(),
            correlation: None,
        }
    }

    /// A message on a route.
    pub(super) fn on(route: &str) -> Self {
        Self::new().with("route", json!({ "const": route }), true)
    }

    /// The `id` of a request, which has an answer if it is there.
    pub(super) fn asked(self) -> Self {
        self.with(
            "id",
            json!({ "$ref": "#/components/schemas/GatewayId" }),
            false,
        )
        .correlated("id")
    }

    /// The `id` of an answer.
    pub(super) fn answered(self) -> Self {
        self.with(
            "id",
            json!({ "$ref": "#/components/schemas/GatewayId" }),
            true,
        )
        .correlated("id")
    }

    pub(super) fn correlated(mut self, field: &'static str) -> Self {
        self.correlation = Some(field);
        self
    }

    /// Data of a type; nothing where there is none.
    pub(super) fn data(self, schema: Option<Value>) -> Self {
        match schema {
            Some(schema) => self.with("data", schema, true),
            None => self,
        }
    }

    pub(super) fn with(mut self, field: &'static str, schema: Value, is_required: bool) -> Self {
        self.fields.insert(field.to_owned(), schema);
        if is_required {
            self.required.push(field);
        }
        self
    }

    /// The message as AsyncAPI has it.
    pub(super) fn message(mut self, name: &str, summary: &str) -> Value {
        self.required.sort_unstable();
        let mut message = json!({
            "name": name,
            "payload": {
                "type": "object",
                "properties": self.fields,
                "required": self.required,
            },
        });
        if !summary.is_empty() {
            message["summary"] = summary.into();
        }
        if let Some(field) = self.correlation {
            let reference = format!("#/components/correlationIds/{field}");
            message["correlationId"] = json!({ "$ref": reference });
        }
        message
    }
}

/// What an answer that is an error has as its data: one of those that are declared, where they are.
pub(super) fn error_data(declared: Option<Value>, common: &[Value]) -> Value {
    let Some(declared) = declared else {
        return any_error();
    };
    let known = [&declared].into_iter().chain(common);
    let mut either: Vec<Value> = known
        .map(|refusal| json!({ "allOf": [refusal, told()] }))
        .collect();
    either.push(json!({ "$ref": "#/components/schemas/GatewayRefusal" }));
    json!({ "anyOf": either })
}

/// What every error says beside its code and its data.
fn told() -> Value {
    json!({ "$ref": "#/components/schemas/GatewayTold" })
}

/// An error of whatever code.
pub(super) fn any_error() -> Value {
    json!({ "$ref": "#/components/schemas/GatewayError" })
}

/// A schema to which the gateway's messages refer.
pub(super) struct Own {
    pub(super) name: &'static str,
    pub(super) schema: fn() -> Value,
}

pub(super) const OWN: [Own; 5] = [
    Own {
        name: "GatewayError",
        schema: error,
    },
    Own {
        name: "GatewayId",
        schema: id,
    },
    Own {
        name: "GatewayPosition",
        schema: position,
    },
    Own {
        name: "GatewayRefusal",
        schema: refusal,
    },
    Own {
        name: "GatewayTold",
        schema: every_error,
    },
];

fn every_error() -> Value {
    json!({
        "description": "What every error says beside its code.",
        "type": "object",
        "properties": {
            "message": { "type": "string", "description": "For people." },
            "temporary": {
                "type": "boolean",
                "description": "Whether the same request may succeed later.",
            },
            "retry_after": { "type": "number", "description": "After so many seconds." },
        },
        "required": ["message", "temporary"],
    })
}

fn error() -> Value {
    let own = json!({
        "type": "object",
        "properties": {
            "code": { "type": "string", "description": "For programs." },
            "data": { "description": "The application's own." },
        },
        "required": ["code"],
    });
    json!({ "description": "An error of any code.", "allOf": [own, told()] })
}

fn refusal() -> Value {
    let code = json!({
        "type": "string",
        "enum": [
            "bad_data",
            "bad_request",
            "internal",
            "malformed",
            "not_answered",
            "timeout",
            "too_many_requests",
            "too_many_rooms",
            "unanswered",
            "unavailable",
            "unknown_route",
        ],
    });
    let own = json!({ "type": "object", "properties": { "code": code }, "required": ["code"] });
    json!({ "description": "The gateway's own errors.", "allOf": [own, told()] })
}

fn id() -> Value {
    json!({
        "description": "Chosen by who asks, and the same in the answer.",
        "oneOf": [{ "type": "string", "maxLength": 256 }, { "type": "number" }],
    })
}

fn position() -> Value {
    json!({
        "description": "A place in the history of a room.",
        "type": "object",
        "properties": {
            "epoch": { "type": "string" },
            "offset": { "type": "integer", "minimum": 0 },
        },
        "required": ["epoch", "offset"],
    })
}
