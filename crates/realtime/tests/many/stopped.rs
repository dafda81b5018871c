//! A server that is stopped, as by a debugger or a machine that is moved, and goes on.

use std::process::Command;

use realtime_testkit::client::{Client, Request};
use realtime_websocket::{
    Event,
    frame::{self, Opcode},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    client::Server,
    server::{IMPATIENT, PATIENCE, PONG},
};

const CLIENTS: usize = 300;
/// So many of them are asked something.
const ASKED: usize = 30;
const TIMES: usize = 5;
/// Who comes shortly before, and says who it is while the server is stopped.
const VISITORS: usize = 20;
const TOKEN: &str = r#"{"id": 1, "route": "authenticate", "data": {"token": "t0ken"}}"#;

/// What those who are asked do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Have themselves asked.
    Ask,
    Answer,
}

/// All of them are there, and answer each ping and what they are asked; their answers came while nobody
/// could read them.
#[tokio::main]
pub(crate) async fn a_stopped_server_judges_no_client() {
    let mut server = Server::start(IMPATIENT);
    let mut clients = tokio::task::JoinSet::new();
    let (turns, turn) = watch::channel(Turn::Answer);
    let (does, mut done) = mpsc::channel(ASKED);
    for n in 0..CLIENTS {
        let mut client = Client::connect(server.addr).await.unwrap();
        let answer = client.request("echo", json!(n)).await.unwrap();
        assert_eq!(answer["data"], n);
        // Until the end of the server.
        client.auto_pong = false;
        match n < ASKED {
            true => clients.spawn(is_asked(client, turn.clone(), does.clone())),
            false => clients.spawn(lives(client)),
        };
    }
    for _ in 0..TIMES {
        let mut visitors = Vec::new();
        for _ in 0..VISITORS {
            visitors.push(Request::new("/door").connect(server.addr).await.unwrap());
        }
        turns.send_replace(Turn::Ask);
        all(&mut done).await;
        signal("-STOP", &server);
        let waited_out = Instant::now() + PATIENCE + PONG;
        turns.send_replace(Turn::Answer);
        all(&mut done).await;
        for visitor in &mut visitors {
            visitor.send_text(TOKEN).await.unwrap();
        }
        sleep_until(waited_out).await;
        signal("-CONT", &server);
        for mut visitor in visitors {
            let answer = visitor.recv_json().await.unwrap();
            assert_eq!(
                answer,
                json!({"id": 1, "route": "authenticate", "data": {}})
            );
        }
        // Long enough for whoever is to be judged.
        sleep(2 * PONG).await;
        let held = server.held();
        assert_eq!(
            (held.pong_timeouts, held.unanswered, held.sessions),
            (0, 0, CLIENTS as u64)
        );
    }
    drop(server);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

/// Waits until each of those who are asked has had its turn.
async fn all(done: &mut mpsc::Receiver<()>) {
    for _ in 0..ASKED {
        done.recv().await.unwrap();
    }
}

async fn lives(mut client: Client) {
    while let Ok(event) = client.recv().await {
        pong(&mut client, &event).await;
    }
}

async fn is_asked(mut client: Client, mut turn: watch::Receiver<Turn>, does: mpsc::Sender<()>) {
    let mut answer = None;
    loop {
        tokio::select! {
            changed = turn.changed() => {
                changed.unwrap();
                let now = *turn.borrow();
                let text = match now {
                    Turn::Ask => json!({"route": "ask me"}).to_string(),
                    Turn::Answer => answer.take().unwrap(),
                };
                client.send_text(&text).await.unwrap();
                if now == Turn::Answer {
                    does.send(()).await.unwrap();
                }
            }
            event = client.recv() => match event {
                Ok(Event::Text(text)) => {
                    let question: Value = serde_json::from_str(&text).unwrap();
                    answer = Some(json!({"reply": question["request"]}).to_string());
                    does.send(()).await.unwrap();
                }
                Ok(event) => pong(&mut client, &event).await,
                Err(_gone) => return,
            },
        }
    }
}

async fn pong(client: &mut Client, event: &Event) {
    if let Event::Ping(payload) = event {
        let pong = frame::client_frame(true, Opcode::Pong, payload, [1, 2, 3, 4]);
        let _gone_already = client.send_raw(&pong).await;
    }
}

fn signal(name: &str, server: &Server) {
    let id = server.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status();
    assert!(sent.unwrap().success());
}
