//! The document of a contract: what the official parser says of it, and what stands in it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[allow(
    dead_code,
    reason = "what it declares, and not its server, is what is looked at"
)]
mod shop;

mod forms;

use std::{
    path::Path,
    process::{Command, Output},
};

use realtime::contract::{Contract, Event, Question, Refusal, Request, Room};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

/// Asks AsyncAPI's own parser.
fn parsed(name: &str, document: &Value) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/asyncapi");
    assert!(
        folder.join("node_modules/@asyncapi/parser").exists(),
        "the parser is missing: run `just setup`, or `npm ci --ignore-scripts --prefix {}`",
        folder.display()
    );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, document.to_string()).unwrap();
    let mut node = Command::new("node");
    let node = node.arg(folder.join("validate.mjs")).arg(file);
    node.output()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_official_parser_takes_the_document() {
    let document = shop::contract().asyncapi().unwrap();
    let output = parsed("shop.json", &document);
    let (said, wrong) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}{wrong}\n{document:#}");

    // It looks, and isn't content with everything.
    let mut broken = document;
    broken["operations"]["send.offer"]["messages"][0]["$ref"] = json!("#/channels/gateway/thing");
    let output = parsed("broken.json", &broken);
    let wrong = text(&output.stderr);
    assert!(
        !output.status.success() && wrong.contains("send.offer"),
        "{wrong}"
    );
}

#[test]
fn a_message_stands_there_as_on_the_wire() {
    let document = shop::contract().asyncapi().unwrap();
    let messages = &document["channels"]["gateway"]["messages"];
    let id = json!({ "$ref": "#/components/schemas/GatewayId" });
    let buy = &messages["shop_2f_buy.request"];
    assert_eq!(buy["summary"], "Buys something.");
    assert_eq!(
        buy["payload"],
        json!({
            "type": "object",
            "properties": {
                "id": id,
                "route": { "const": "shop/buy" },
                "data": { "$ref": "#/components/schemas/Wanted" },
            },
            "required": ["data", "route"],
        })
    );
    let ids = &document["components"]["schemas"]["GatewayId"]["oneOf"];
    assert_eq!(
        (&ids[0]["type"], &ids[1]["type"]),
        (&json!("string"), &json!("number"))
    );
    // No data is no field.
    let open = &messages["open.request"]["payload"]["properties"];
    assert_eq!(open.get("data"), None);
    let reply = &messages["open.reply"]["payload"];
    assert_eq!(reply["required"], json!(["data", "id", "route"]));

    let error = &messages["shop_2f_buy.error"]["payload"]["properties"]["data"]["anyOf"];
    let refusal = |at: usize| error[at]["allOf"][0]["$ref"].as_str().unwrap();
    assert!(refusal(0).ends_with("/NotBought") && refusal(1).ends_with("/NotAllowed"));
    assert!(
        error[2]["$ref"]
            .as_str()
            .unwrap()
            .ends_with("/GatewayRefusal")
    );

    let table = &document["channels"]["room.table_3a__7b_floor_7d__2f__7b_number_7d_"];
    assert_eq!(table["address"], shop::TABLE);
    assert_eq!(table["parameters"], json!({ "floor": {}, "number": {} }));
    let room = &table["messages"]["said.event"]["payload"]["properties"]["room"];
    assert_eq!(room["pattern"], "^table:.+\\/.+$");
    let published = &table["messages"]["publish.request"]["payload"]["properties"]["data"];
    assert_eq!(published["properties"]["data"], json!({ "type": "string" }));
    let counter = &document["channels"]["room.counter"]["messages"];
    assert_eq!(
        counter["offer.event"]["payload"]["properties"]["room"],
        json!({ "const": "counter" })
    );
    assert_eq!(counter.get("join.request"), None);
}

#[test]
fn a_type_that_is_read_in_another_form_than_it_is_written_has_two_names() {
    let document = shop::contract().asyncapi().unwrap();
    let schemas = &document["components"]["schemas"];
    let required = |name: &str| schemas[name]["required"].clone();
    assert_eq!(required("ArticleInput"), json!(["name"]));
    assert_eq!(required("ArticleOutput"), json!(["name", "colour"]));
    assert_eq!(schemas.get("Article"), None);
    let article = |name: &str| &schemas[name]["properties"]["article"]["$ref"];
    assert_eq!(article("Wanted"), "#/components/schemas/ArticleInput");
    assert_eq!(article("Bought"), "#/components/schemas/ArticleOutput");
    assert!(schemas.get("Colour").is_some(), "of one form");
    assert_eq!(schemas["Offer"]["required"][0], "articleName");
}

#[test]
fn the_same_contract_is_the_same_text() {
    let text = || shop::contract().asyncapi().unwrap().to_string();
    assert_eq!(text(), text());
    let fields: Vec<String> = match shop::contract().asyncapi().unwrap() {
        Value::Object(fields) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => panic!("it is an object"),
    };
    assert!(fields.is_sorted(), "{fields:?}");
}

fn wrong(contract: Contract) -> String {
    contract.asyncapi().unwrap_err().to_string()
}

#[test]
fn what_can_be_no_contract_is_said() {
    const LONG: &str = match std::str::from_utf8(&[b'x'; 257]) {
        Ok(text) => text,
        Err(_) => "",
    };
    let contract = || Contract::new("Shop", "1.0.0");
    let twice = contract().request(shop::BUY).request(shop::BUY);
    assert_eq!(
        wrong(twice),
        "expected each request once; got \"shop/buy\" twice"
    );
    let one = Event::<String>::new("line");
    let other = Room::new("a").event(Event::<u8>::new("line"));
    let two = contract()
        .event(one)
        .room(Room::new("b").event(one))
        .room(other);
    assert_eq!(
        wrong(two),
        "expected one type for each event; got \"line\" of two"
    );
    let own = contract().request(Request::<()>::new("gap"));
    assert!(wrong(own).contains("other than the gateway's own; got the request \"gap\""));
    for route in ["error", "expiring", "gap", "removed"] {
        let event = Event::<()>::new(route);
        let expected = format!("other than the gateway's own; got the event {route:?}");
        let outside = wrong(contract().event(event));
        let inside = wrong(contract().room(Room::new("a").event(event)));
        assert!(outside.contains(&expected) && inside.contains(&expected));
    }
    let again = Event::<()>::new("bell").summary("It rings again.");
    let bell = contract().event(shop::BELL).event(again);
    let said = wrong(bell);
    assert!(
        said.contains("for each operation") || said.contains("for each message"),
        "{said}"
    );
    let ping = wrong(contract().request(Request::<String>::new("ping")));
    assert!(ping.contains("\"receive.ping\""), "{ping}");
    let long = contract().question(Question::<()>::new(LONG));
    assert!(wrong(long).contains("at most 256 bytes; got the question"));
    let rooms = contract().room(Room::new("a")).room(Room::new("a"));
    assert_eq!(
        wrong(rooms),
        "expected each kind of room once; got \"a\" twice"
    );
}

/// Names that would be the same one, if each kind of thing had no place of its own.
#[test]
fn each_declaration_has_a_place_of_its_own() {
    let event = Event::<()>::new;
    let contract = Contract::new("Names", "1.0.0")
        .event(event("a/b"))
        .event(event("a_2f_b"))
        .event(event("sure"))
        .question(Question::<()>::new("sure"))
        .request(Request::<()>::new("sure"))
        .request(Request::<()>::new("room.counter.join"))
        .event(event("counter.offer"))
        .event(event("room.counter.send.offer"))
        .room(Room::new("counter").event(event("offer")))
        .room(Room::new("a").event(event("b.c")))
        .room(Room::new("a.b").event(event("c")))
        .room(Room::new("a.send.b").event(event("c")))
        .room(Room::new("a_2e_b"))
        .room(Room::new("gateway"));
    let document = contract.asyncapi().unwrap();
    let output = parsed("names.json", &document);
    let wrong = text(&output.stderr);
    assert!(output.status.success(), "{wrong}\n{document:#}");

    let channels = document["channels"].as_object().unwrap();
    assert_eq!(channels.len(), 7);
    assert!(channels["gateway"]["bindings"]["ws"].is_object());
    let operations = document["operations"].as_object().unwrap();
    // Of the application: of rooms four, outside of them eight. Of the gateway five, and three for
    // each kind of room.
    let own = operations.values().filter(|it| it.get("tags").is_some());
    let own = own.count();
    assert_eq!((own, operations.len() - own), (5 + 3 * 6, 4 + 8));
    for key in ["send.sure", "ask.sure", "receive.sure"] {
        assert!(operations.contains_key(key), "{key}");
    }
    let place = |key: &str| operations[key]["channel"]["$ref"].clone();
    assert_eq!(place("send.counter.offer"), "#/channels/gateway");
    assert_eq!(place("send.room.counter.send.offer"), "#/channels/gateway");
    assert_eq!(place("room.counter.send.offer"), "#/channels/room.counter");
}

#[test]
fn types_of_all_forms_stand_in_the_document() {
    let document = forms::contract().asyncapi().unwrap();
    let output = parsed("forms.json", &document);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let tree = &schemas["Tree"]["properties"]["children"]["items"];
    assert_eq!(tree["$ref"], "#/components/schemas/Tree");
    let lists = schemas.keys().filter(|name| name.starts_with("List"));
    assert_eq!(lists.count(), 2, "one for each type in it: {schemas:#?}");
    let counts = &schemas["Forms"]["properties"]["counts"];
    assert_eq!(counts["additionalProperties"]["type"], "integer");
    let flat = &schemas["Forms"]["properties"]["flat"];
    assert_eq!(flat["type"], "boolean", "it stands beside the others");
}

/// Without a code that a client could match.
#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[error("it doesn't fit")]
struct Misfit {
    code: String,
}

impl Refusal for Misfit {}

#[test]
fn errors_without_known_codes_are_no_refusals() {
    const ASK: Request<(), (), Misfit> = Request::new("ask");
    let said = wrong(Contract::new("Shop", "1.0.0").request(ASK));
    assert!(
        said.contains("serialised with a `code`") && said.contains("\"ask\""),
        "{said}"
    );
}

/// Its `most` stands beside the code, where no client sees it.
#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
enum Beside {
    #[error("at most {most}")]
    TooLong { most: usize },
}

impl Refusal for Beside {}

#[test]
fn what_stands_beside_the_code_is_refused_and_not_left_out() {
    const ASK: Request<(), (), Beside> = Request::new("ask");
    let said = wrong(Contract::new("Shop", "1.0.0").request(ASK));
    assert!(said.contains("nothing but `data`"), "{said}");
    let told = Beside::TooLong { most: 9 }.to_client_error();
    assert_eq!(told.code(), "internal");
}

/// A struct whose code is an enum.
#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[error("it is closed")]
struct Closed {
    code: ClosedCode,
    data: Until,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ClosedCode {
    /// For today.
    Closed,
    /// For ever.
    Gone,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Until {
    hour: u8,
}

/// Of others, and of itself.
#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[serde(untagged)]
enum Either {
    #[error(transparent)]
    Closed(Closed),
    #[error(transparent)]
    NotBought(shop::NotBought),
    #[error(transparent)]
    Again(Box<Either>),
}

impl Refusal for Either {}

#[test]
fn errors_are_made_of_others() {
    const ASK: Request<(), (), Either> = Request::new("ask");
    let contract = Contract::new("Shop", "1.0.0").request(ASK);
    let document = contract.asyncapi().unwrap();
    let output = parsed("errors.json", &document);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let closed = |code| Closed {
        code,
        data: Until { hour: 7 },
    };
    let again = Either::Again(Box::new(Either::Closed(closed(ClosedCode::Closed))));
    for (error, code, data) in [
        (
            Either::Closed(closed(ClosedCode::Gone)),
            "gone",
            json!({"hour": 7}),
        ),
        (again, "closed", json!({"hour": 7})),
        (
            Either::NotBought(shop::NotBought::TooMany { left: 3 }),
            "too_many",
            json!({"left": 3}),
        ),
    ] {
        let told = error.to_client_error();
        assert_eq!(told.code(), code);
        assert_eq!(told.decode_data::<Value>().unwrap(), data);
    }
}

/// All of them are refusals but this one.
#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[serde(untagged)]
enum EitherWithout {
    #[error(transparent)]
    Closed(Closed),
    #[error(transparent)]
    Misfit(Misfit),
}

impl Refusal for EitherWithout {}

#[test]
fn errors_that_are_made_of_others_have_codes_in_all_of_them() {
    const ASK: Request<(), (), EitherWithout> = Request::new("ask");
    let said = wrong(Contract::new("Shop", "1.0.0").request(ASK));
    assert!(said.contains("serialised with a `code`"), "{said}");
    // They are serialised, and so no dead code.
    let code = "any".to_owned();
    let misfit = EitherWithout::Misfit(Misfit { code });
    let closed = EitherWithout::Closed(Closed {
        code: ClosedCode::Closed,
        data: Until { hour: 0 },
    });
    assert_eq!(misfit.to_client_error().code(), "any");
    assert_eq!(closed.to_client_error().code(), "closed");
}
