//! The bytes between nodes are those of `docs/wire.md`: each example there is what this version
//! writes, and reads.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::body::Bytes;
use futures::FutureExt;
use realtime::{
    ClientError, CloseCode, IdentityKey, IdentityUpdate, SessionId,
    broker::{
        NodeInfo, Topic,
        control::{ClientAnswer, Command, Operation, Outcome},
        envelope::{Envelope, EnvelopeKind, Except, Target},
        stream::{self, Due, Next, Outgoing},
    },
    codec::{Frame, FrameKind},
    history::Position,
    node::Incarnation,
    revocation::Revocation,
};

/// The examples of the document: a name, and bytes in hexadecimal digits.
fn documented() -> BTreeMap<String, Bytes> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire.md");
    let document = fs::read_to_string(path).unwrap();
    let mut examples = BTreeMap::new();
    for block in document.split("```vector\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let (name, digits) = block.split_once('\n').unwrap();
        let digits: Vec<char> = digits.chars().filter(char::is_ascii_hexdigit).collect();
        let bytes = digits.chunks(2).map(|pair| {
            let pair: String = pair.iter().collect();
            u8::from_str_radix(&pair, 16).unwrap()
        });
        examples.insert(name.to_owned(), bytes.collect());
    }
    examples
}

fn node(name: &str, incarnation: u64) -> NodeInfo {
    NodeInfo::new(name.parse().unwrap(), Incarnation::from_u64(incarnation))
}

/// What is due now on a topic, which comes to be said.
fn due(out: &mut Outgoing, topic: &Topic) -> Bytes {
    loop {
        match out.next().now_or_never().unwrap() {
            Due::Say(said) if said.topic == *topic => return said.data,
            Due::Say(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// What this version writes.
fn written() -> BTreeMap<String, Bytes> {
    let own = node("eu-1", 0x0102_0304_0506_0708);
    let (mut out, mut inn) = stream::pair(own.clone(), Arc::default());
    let room = Topic::Named("room:1".parse().unwrap());
    let mut written = BTreeMap::new();
    let mut add = |name: &str, bytes: Bytes| drop(written.insert(name.to_owned(), bytes));
    add("hello", out.hello().data);
    add("question", out.question().data);
    add("message for all", out.message(&Topic::All, b"body"));
    add(
        "message for a node",
        out.message(&node("eu-2", 0).topic(), b"body"),
    );
    add("message on a named topic", out.message(&room, b"body"));
    let (twin, _) = stream::pair(node("eu-1", 9), Arc::default());
    assert!(matches!(inn.receive(twin.question().data), Next::Nothing));
    add("answer", due(&mut out, &Topic::All));
    out.begin();
    add("probe", due(&mut out, &own.topic()));
    add("mark", due(&mut out, &room));
    add("goodbye", out.goodbye().data);

    let body = Bytes::from_static(br#"{"route":"news","data":1}"#);
    let all = Envelope::new(Target::All, "realtime.json", FrameKind::Text, body);
    add("envelope for all", all.encode());
    let key = IdentityKey::new("ann").with_tenant("acme");
    let one = Envelope::new(
        Target::Identity(key),
        "raw",
        FrameKind::Binary,
        b"\0\xff"[..].into(),
    );
    let one = one.with_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    add("envelope for an identity", one.encode());
    let body = br#"{"route":"status","room":"order:42","offset":7,"data":1}"#;
    let target = Target::Rooms(vec!["order:42".parse().unwrap()]);
    let room = Envelope::new(target, "realtime.json", FrameKind::Text, body[..].into());
    let id: SessionId = "00010203-0405-0607-0809-0a0b0c0d0e0f".parse().unwrap();
    let ann = IdentityKey::new("ann").with_tenant("acme");
    let room = room.with_except(vec![Except::Session(id), Except::Identity(ann)]);
    let position = Position::new("3f9a0c5d".parse().unwrap(), 7);
    add("envelope for a room", room.with_position(position).encode());
    let body = Bytes::from_static(br#"{"route":"notice","data":1}"#);
    let target = Target::Tenant("acme".into());
    let tenant = Envelope::new(target, "realtime.json", FrameKind::Text, body);
    add("envelope for a tenant", tenant.encode());
    let target = Target::Session(id);
    let session = Envelope::new(target, "raw", FrameKind::Binary, b"\0"[..].into());
    add("envelope for a session", session.encode());

    let empty = |target, kind, body| {
        let envelope = Envelope::new(target, "realtime.json", FrameKind::Binary, body);
        envelope.with_kind(kind).with_correlation(7).encode()
    };
    let disconnect = Operation::Disconnect {
        code: CloseCode::DISCONNECTED,
        reason: "banned".into(),
    };
    let (join, leave) = ("order:42".parse().unwrap(), "order:42".parse().unwrap());
    let message = br#"{"route":"ready?"}"#;
    let user = IdentityKey::new("ann").with_tenant("acme");
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_170_000_500);
    let revocation = Revocation::identity(user, at);
    let update = IdentityUpdate::new()
        .with_roles(["staff"])
        .with_claim("plan", 7);
    for (name, operation) in [
        ("control to disconnect", disconnect),
        ("control to join", Operation::Join(join)),
        ("control to leave", Operation::Leave(leave)),
        (
            "control to ask the clients",
            Operation::Request(message[..].into()),
        ),
        ("control to revoke", Operation::Revoke(revocation)),
        ("control to update", Operation::Update(update)),
    ] {
        let command = Command::new(operation, Duration::from_millis(3_000));
        let target = Target::Tenant("acme".into());
        add(name, empty(target, EnvelopeKind::Control, command.encode()));
    }
    let answered = r#"{"data":true}"#;
    let ann = IdentityKey::new("ann").with_tenant("acme");
    let answers = vec![
        ClientAnswer::new(id, ann.clone(), Ok(Frame::Text(answered.into()))),
        ClientAnswer::new(id, ann, Err(ClientError::new("busy", "later").temporary())),
    ];
    for (name, outcome) in [
        ("receipt of what was done", Outcome::done(3, 1)),
        ("receipt of what is not understood", Outcome::NotUnderstood),
        ("receipt of a node that is busy", Outcome::Busy),
        ("receipt with answers", Outcome::Answers(answers)),
    ] {
        add(
            name,
            empty(Target::All, EnvelopeKind::Receipt, outcome.encode()),
        );
    }
    written
}

fn shown(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for (n, byte) in bytes.iter().enumerate() {
        let gap = if n % 16 == 15 { "\n" } else { " " };
        write!(shown, "{byte:02x}{gap}").unwrap();
    }
    shown
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_what_is_documented() {
    let (documented, written) = (documented(), written());
    for (name, bytes) in &written {
        assert_eq!(
            documented.get(name),
            Some(bytes),
            "{name}: this version writes\n{}",
            shown(bytes)
        );
    }
    assert_eq!(documented.len(), written.len(), "an example is of nothing");
}

#[tokio::test]
async fn what_is_documented_is_read() {
    let documented = documented();
    let (_, mut there) = stream::pair(node("eu-2", 0), Arc::default());
    there.topics().join(&"room:1".parse().unwrap()).unwrap();
    for name in [
        "message for all",
        "message for a node",
        "message on a named topic",
    ] {
        match there.receive(documented[name].clone()) {
            Next::Deliver(message) => assert_eq!(message.data, "body", "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    for (name, bytes) in &documented {
        if ["envelope", "control", "receipt"]
            .iter()
            .any(|kind| name.starts_with(kind))
        {
            let envelope = Envelope::decode(bytes.clone()).unwrap();
            assert_eq!(envelope.encode(), bytes, "{name}");
            let body = envelope.body();
            let again = match envelope.kind() {
                EnvelopeKind::Control => Command::decode(body.clone()).unwrap().encode(),
                EnvelopeKind::Receipt => Outcome::decode(body.clone()).unwrap().encode(),
                _ => body.clone(),
            };
            assert_eq!(again, body, "{name}");
        }
    }
}
