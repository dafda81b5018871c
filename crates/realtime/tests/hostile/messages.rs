//! Messages that are no envelopes, or that carry what nobody expects.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use realtime::{
    BoxError, Json, Message, Payload, Router, Session,
    extract::Reply,
    hooks::{ErrorContext, ErrorStage},
    middleware::LoggerLayer,
};
use realtime_testkit::{
    client::Client,
    wait::{until, within},
};
use realtime_websocket::{Decoder, Event, Limits, Role};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    log::{self, SECRET},
    support::{Server, router},
};

fn frame(text: &str) -> Vec<u8> {
    Client::<TcpStream>::text_frame(text).into()
}

#[tokio::test]
async fn what_is_no_envelope_is_answered_with_an_error_and_the_session_stays() {
    let long = "x".repeat(257);
    let entries: serde_json::Map<_, _> = (0..65).map(|n| (n.to_string(), json!("v"))).collect();
    let utf16: String = r#"{"route":"echo"}"#.chars().flat_map(|c| [c, '\0']).collect();
    let deep = "[".repeat(100_000);
    let rows: Vec<(&str, String)> = vec![
        ("empty", String::new()),
        ("no object", format!("\"{SECRET}\"")),
        ("an array", "[]".into()),
        ("a number", "7".into()),
        ("truncated", format!(r#"{{"id":"1","route":"{SECRET}"#)),
        ("trailing bytes", r#"{"route":"echo"}x"#.into()),
        (
            "two documents",
            r#"{"route":"echo"}{"route":"echo"}"#.into(),
        ),
        ("BOM", "\u{feff}{\"route\":\"echo\"}".into()),
        ("UTF-16", utf16),
        ("a comment", r#"{"route":"echo"/* */}"#.into()),
        ("NaN", r#"{"route":"echo","data":NaN}"#.into()),
        ("deep and open", format!(r#"{{"data":{deep}"#)),
        ("deep elsewhere and open", format!(r#"{{"other":{deep}"#)),
        ("deep alone", deep.clone()),
        ("deep route", format!(r#"{{"route":{deep}"#)),
        ("two routes", r#"{"route":"echo","route":"raw"}"#.into()),
        ("two ids", r#"{"id":"1","id":"2"}"#.into()),
        ("two data", r#"{"data":1,"data":2}"#.into()),
        ("route null", r#"{"route":null}"#.into()),
        ("route 7", r#"{"route":7}"#.into()),
        ("id true", r#"{"id":true}"#.into()),
        ("an array of ids", json!({ "id": [7] }).to_string()),
        (
            "a long number",
            format!(r#"{{"id":{},"route":"echo"}}"#, "7".repeat(257)),
        ),
        ("metadata 7", r#"{"metadata":7}"#.into()),
        ("metadata of numbers", r#"{"metadata":{"k":7}}"#.into()),
        ("long route", json!({ "route": long }).to_string()),
        (
            "long id",
            json!({ "id": long, "route": "echo" }).to_string(),
        ),
        ("65 entries", json!({ "metadata": entries }).to_string()),
        (
            "a lone surrogate in a route",
            r#"{"route":"\ud800"}"#.into(),
        ),
        ("a control in a string", "{\"route\":\"a\nb\"}".into()),
    ];
    let server = Server::start(realtime::builder().router(router()).build().unwrap()).await;
    let mut client = server.connect().await;
    for (n, (what, text)) in rows.iter().enumerate() {
        client.send_text(text).await.unwrap();
        let answer = client.recv_json().await.unwrap();
        assert_eq!(answer["route"], "error", "{what}");
        assert_eq!(answer["data"]["code"], "malformed", "{what}");
        assert!(!answer.to_string().contains(SECRET), "{what}");
        assert_eq!(server.stats().malformed, n as u64 + 1);
        // A proper message, so that it is not the tenth in a row.
        let answer = client.request("echo", json!(n)).await.unwrap();
        assert_eq!(answer["data"], n, "{what}: the session stays");
    }
    for _ in 0..10 {
        client.send_text(SECRET).await.unwrap();
    }
    assert_eq!(client.closed().await.unwrap().0, 1008);
    assert_eq!(server.stats().violations, 1);
    drop(client);
    server.until_alone().await;
    server.finish().await;
}

/// The gateway doesn't look into the data; whoever does, in a handler, gets an error.
#[tokio::test]
async fn strange_data_is_carried_as_it_came_or_is_an_error_of_its_handler() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let fields = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    // Whether a handler that reads the data as any JSON value can.
    let rows = [
        ("1,000 deep", nested(1000), false),
        ("100,000 deep", nested(100_000), false),
        ("100,000 fields deep", fields(100_000), false),
        ("a lone surrogate", r#""\ud800""#.to_owned(), false),
        ("1e400", "1e400".to_owned(), false),
        ("20,000 digits", "9".repeat(20_000), false),
        ("2^64", "18446744073709551616".to_owned(), true),
        ("spaces", "[ 1 ,\t2\n]".to_owned(), true),
        ("a field twice", r#"{"a":1,"a":2}"#.to_owned(), true),
        ("controls", r#""\u0000\r\n\u001b""#.to_owned(), true),
    ];
    let builder = realtime::builder().router(router()).read_limit(4 << 20);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    for (what, data, readable) in rows {
        let text = format!(r#"{{"id":"7","route":"raw","data":{data},"later":{data}}}"#);
        client.send_text(&text).await.unwrap();
        let Event::Text(answer) = client.recv().await.unwrap() else {
            panic!("{what}: expected a text message");
        };
        let carried = format!(r#"{{"id":"7","route":"raw","data":{data}}}"#);
        assert!(answer == carried, "{what}: carried to the byte");

        let text = format!(r#"{{"id":"7","route":"echo","data":{data}}}"#);
        client.send_text(&text).await.unwrap();
        let answer = client.recv_json().await.unwrap();
        let route = if readable { "echo" } else { "error" };
        assert_eq!(
            (&answer["id"], &answer["route"]),
            (&json!("7"), &json!(route)),
            "{what}"
        );
    }
    drop(client);
    server.until_alone().await;
    server.finish().await;
}

/// A handler's error with its causes, which may quote what the peer sent.
async fn parse(message: Message) -> Result<(), BoxError> {
    let text: String = message.decode()?;
    let number: Result<u8, _> = serde_json::from_str(&format!("{text:?}"));
    number.map(drop).map_err(Into::into)
}

async fn quote(Json(data): Json<String>) -> Result<(), BoxError> {
    Err(format!("no such thing: {data}").into())
}

#[tokio::test]
async fn what_fails_is_answered_under_its_id_and_no_line_of_the_log_is_broken_or_tells_data() {
    let routes = || {
        router()
            .route("number", async |Json(n): Json<u8>| Json(n))
            .route("parse", parse)
            .route("quote", quote)
    };
    let ugly = "a\0b\r\nc\x1b[31md\u{202e}e";
    let endless = format!("{}\r\n", "x".repeat(250));
    let rows = [
        (ugly, json!(1), "unknown_route"),
        (&endless, json!(1), "unknown_route"),
        ("", json!(1), "unknown_route"),
        ("number", json!(SECRET), "bad_data"),
        ("number", json!({ SECRET: ugly }), "bad_data"),
        ("parse", json!(SECRET), "internal"),
        ("quote", json!(ugly.repeat(1000)), "internal"),
    ];
    let hooked = Arc::new(AtomicUsize::new(0));
    let hears = Arc::clone(&hooked);
    let with_hook = realtime::builder().on_error(move |error: ErrorContext| {
        hears.fetch_add(usize::from(error.stage() == ErrorStage::Message), SeqCst);
        async {}
    });
    // Without a hook the errors go to the log, too.
    for builder in [realtime::builder(), with_hook] {
        let builder = builder.router(routes()).layer(LoggerLayer::new());
        let server = Server::start(builder.build().unwrap()).await;
        let mut client = server.connect().await;
        for (n, (route, data, code)) in rows.iter().enumerate() {
            // The ugly text stands in the id as well.
            let id = format!("{n}{ugly}");
            let text = json!({"id": id, "route": route, "data": data}).to_string();
            client.send_text(&text).await.unwrap();
            let answer = client.recv_json().await.unwrap();
            assert_eq!(
                (&answer["route"], &answer["id"]),
                (&json!("error"), &json!(id))
            );
            assert_eq!(answer["data"]["code"], *code, "{route:?}");
        }
        // Without an id nobody is told, and the session stays.
        client.send("nowhere", json!(SECRET)).await.unwrap();
        assert_eq!(client.request("echo", json!(1)).await.unwrap()["data"], 1);
        assert_eq!(server.stats().failed, rows.len() as u64 + 1);
        drop(client);
        server.until_alone().await;
        server.finish().await;
    }
    assert_eq!(hooked.load(SeqCst), rows.len() + 1);
    assert!(log::has("no handler is registered"), "failures are logged");
}

#[tokio::test]
async fn a_message_without_a_route_is_for_the_fallback() {
    let router = router().fallback(async || Json("fallback"));
    let server = Server::start(realtime::builder().router(router).build().unwrap()).await;
    let mut client = server.connect().await;
    client.send_text(r#"{"id":"1"}"#).await.unwrap();
    assert_eq!(client.recv_json().await.unwrap()["data"], "fallback");
    client
        .send_text(r#"{"id":"2","route":"é\u0000"}"#)
        .await
        .unwrap();
    assert_eq!(client.recv_json().await.unwrap()["data"], "fallback");
    drop(client);
    server.until_alone().await;
    server.finish().await;
}

/// Reads messages until so many have come, and checks that they come in order.
async fn read_in_order(stream: &mut (impl AsyncReadExt + Unpin), count: u64) {
    let mut decoder = Decoder::new(Role::Client, Limits::default());
    let (mut next, mut buffer) = (0, vec![0; 1 << 16]);
    while next < count {
        let read = within("more answers", stream.read(&mut buffer))
            .await
            .unwrap();
        assert!(read > 0, "the peer is not closed for being answered");
        let mut input = &buffer[..read];
        while let Some(event) = decoder.decode(&mut input).unwrap() {
            match event {
                Event::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(message["data"][0], next);
                    next += 1;
                }
                Event::Ping(_) => {}
                other => panic!("expected a text message; got {other:?}"),
            }
        }
    }
}

/// Sends a flood whose answers nobody reads, until the server takes no more of it. Then the
/// answers are read.
async fn flood(routes: Router, route: &str, count: u64) {
    let builder = realtime::builder()
        .router(routes)
        .queue_messages(8)
        .queue_bytes(8192)
        .write_timeout(None);
    let server = Server::start(builder.build().unwrap()).await;
    let client = server.connect_narrow().await;
    let (mut read, mut write) = client.stream.into_split();
    let pad = "x".repeat(200);
    let frames: Vec<u8> = (0..count)
        .flat_map(|n| frame(&json!({"id": "1", "route": route, "data": [n, pad]}).to_string()))
        .collect();
    let flooding = tokio::spawn(async move {
        write.write_all(&frames).await.unwrap();
        write
    });
    let mut seen = 0;
    let pushed_back = async || {
        let now = server.stats().received;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let stats = server.stats();
        assert!(stats.queued_bytes < 128 * 1024, "{}", stats.queued_bytes);
        // The bystander's own messages go on.
        let stands_still = now > seen && stats.received - now < 50;
        seen = now;
        stands_still && stats.queued_bytes > 0
    };
    until("the flood is pushed back", pushed_back).await;
    let mut other = server.connect().await;
    let answer = other.request("echo", json!("meanwhile")).await.unwrap();
    assert_eq!(answer["data"], "meanwhile");
    drop(other);
    assert!(!flooding.is_finished(), "not all of the flood was taken");
    read_in_order(&mut read, count).await;
    drop((read, flooding.await.unwrap()));
    assert_eq!(server.stats().slow_consumers, 0);
    server.until_alone().await;
    server.finish().await;
}

#[tokio::test]
async fn a_flood_of_requests_whose_answers_are_not_read_is_pushed_back() {
    flood(router(), "raw", 50_000).await;
}

#[tokio::test]
async fn so_is_a_handler_that_sends_and_waits_instead_of_replying() {
    let sends = async |session: Session, data: Payload| {
        let sent = session.send_wait("sent", data).await;
        sent.map(|()| Reply::none())
    };
    flood(router().route("sends", sends), "sends", 50_000).await;
}
