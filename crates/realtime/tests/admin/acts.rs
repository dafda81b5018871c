//! What an operator does, and what is written of it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::json;

use super::{Server, builder};

#[tokio::test]
async fn a_session_and_an_identity_are_disconnected_and_the_receipt_says_so() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut phone = server.client("acme/ann").await;
    let mut laptop = server.client("acme/ann").await;
    let mut bob = server.client("bob").await;
    let mut page = server.page().await;
    let ann = json!({ "tenant": "acme", "id": "ann" });
    let found = page.ask("find", ann.clone()).await;
    assert_eq!(found["total"], 2);
    let first = json!({ "session_id": found["sessions"][0]["session_id"], "reason": "why not" });
    let done = page.ask("disconnect", first.clone()).await;
    assert_eq!(
        (&done["sessions"], &done["is_complete"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(phone.closed().await, Some((3503, "why not".to_owned())));
    let done = page.ask("disconnect", json!({ "identity": ann })).await;
    assert_eq!(done["sessions"], 1);
    let node = json!({ "node_id": server.gateway.node_id(), "answer": "done", "sessions": 1 });
    assert_eq!(done["nodes"], json!([node]));
    let closed = laptop.closed().await.unwrap();
    assert_eq!(closed, (3503, "closed by an operator".to_owned()));
    // Who isn't there is no error, and is counted.
    assert_eq!(page.ask("disconnect", first).await["sessions"], 0);
    for wrong in [
        json!({}),
        json!({ "identity": { "id": "bob" }, "reason": "x".repeat(124) }),
        json!({ "identity": { "id": "bob" }, "session_id": found["sessions"][0]["session_id"] }),
        json!({ "session_id": "1" }),
    ] {
        page.refused("disconnect", wrong).await;
    }
    bob.request("echo", json!("still here")).await.unwrap();
    server.stop().await;
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What is logged for as long as the guard lives. On one thread, so all that happens is heard.
    fn hear() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("realtime::admin=info")
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_in_the_log_a_few_times_a_minute() {
    let (log, _heard) = Log::hear();
    let server = Server::start(builder().build().unwrap()).await;
    for name in ["ann", "away", "broken", "wrong"] {
        server.get("/admin/", Some(name)).await;
    }
    let text = log.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("INFO") && lines[0].contains("id=\"ann\""));
    assert!(lines[1].contains("WARN") && lines[1].contains("the directory is away"));
    assert!(lines[2].contains("WARN") && lines[2].contains("the guard panicked"));
    for _ in 0..50 {
        server.get("/admin/", Some("away")).await;
    }
    assert_eq!(log.text().lines().count(), 20);
    server.stop().await;
}

#[tokio::test]
async fn each_act_is_in_the_log_with_who_did_it() {
    let (log, _heard) = Log::hear();
    let server = Server::start(builder().build().unwrap()).await;
    let mut ann = server.client("acme/ann").await;
    let mut page = server.page().await;
    let who = json!({ "tenant": "acme", "id": "ann" });
    page.ask("tap", who.clone()).await;
    ann.request("echo", json!("payl0ad")).await.unwrap();
    page.on("tapped").await;
    page.ask("untap", ().into()).await;
    page.ask(
        "disconnect",
        json!({ "identity": who, "reason": "spam\nspam" }),
    )
    .await;
    server.stop().await;
    let log = log.text();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 4, "{log}");
    for (line, said) in lines.iter().zip([
        "an operator looks at somebody's messages",
        "an operator no longer looks",
        "an operator disconnects somebody",
        "an operator has disconnected somebody",
    ]) {
        assert!(
            line.contains(said) && line.contains("realtime::admin"),
            "{line}"
        );
        assert!(
            line.contains("by_tenant=\"\" by=\"root\"")
                && line.contains("tenant=\"acme\" id=\"ann\""),
            "{line}"
        );
    }
    assert!(
        lines[3].contains("sessions=1 is_complete=true"),
        "{}",
        lines[3]
    );
    assert!(!log.contains("payl0ad"), "{log}");
}
