//! A server that is stopped, as by a debugger or a machine that is moved, and goes on.

use std::process::Command;

use realtime_testkit::client::Client;
use realtime_websocket::{
    Event,
    frame::{self, Opcode},
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    client::Server,
    server::{IMPATIENT, PONG},
};

const CLIENTS: usize = 300;
const TIMES: usize = 5;

/// All of them are there and answer each ping; their answers came while nobody could read them.
#[tokio::main]
pub(crate) async fn a_stopped_server_judges_no_client() {
    let mut server = Server::start(IMPATIENT);
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..CLIENTS {
        let mut client = Client::connect(server.addr).await.unwrap();
        let answer = client.request("echo", json!(n)).await.unwrap();
        assert_eq!(answer["data"], n);
        // Until the end of the server.
        client.auto_pong = false;
        clients.spawn(async move {
            while let Ok(event) = client.recv().await {
                if let Event::Ping(payload) = event {
                    let pong = frame::client_frame(true, Opcode::Pong, &payload, [1, 2, 3, 4]);
                    let _gone_already = client.send_raw(&pong).await;
                }
            }
        });
    }
    for _ in 0..TIMES {
        signal("-STOP", &server);
        sleep(4 * PONG).await;
        signal("-CONT", &server);
        // Long enough for whoever is to be judged.
        sleep(2 * PONG).await;
        let held = server.held();
        assert_eq!((held.pong_timeouts, held.sessions), (0, CLIENTS as u64));
    }
    drop(server);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

fn signal(name: &str, server: &Server) {
    let id = server.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status();
    assert!(sent.unwrap().success());
}
