//! What `deploy/compose.yaml` starts, without containers: two nodes with its variables, Redis, and
//! nginx with its configuration.

use std::{fs, io, net::SocketAddr, path::Path, process::Command};

use realtime_testkit::{
    client::raw_http,
    servers::{Process, Redis},
    wait::{DEADLINE, until},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::chat::{Chat, come, join_lobby, login, next};

/// As long as the file wants it.
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The variables of a node, with what is outside of the containers here in place of what is inside.
fn environment(redis: &Redis) -> Vec<(String, String)> {
    let compose = read("compose.yaml");
    let (_, block) = compose.split_once("environment: &environment\n").unwrap();
    let lines = block.lines().take_while(|line| line.starts_with("    "));
    let lines = lines.map(str::trim).filter(|line| !line.starts_with('#'));
    let mut read: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| {
            (
                name.to_owned(),
                value.replace("redis://redis:6379", &redis.url()),
            )
        })
        .collect();
    for (name, value) in &mut read {
        match name.as_str() {
            "CHAT_KEY" => KEY.clone_into(value),
            "CHAT_MODERATOR" => value.clear(),
            _ => assert!(!value.contains('$'), "{name}: {value}"),
        }
    }
    read.push(("CHAT_LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
    read
}

fn read(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    fs::read_to_string(folder.join(file)).unwrap()
}

/// nginx with the configuration of the folder before two nodes.
async fn nginx(nodes: [SocketAddr; 2]) -> io::Result<(SocketAddr, Process, TempDir)> {
    let folder = tempfile::Builder::new().prefix("nginx-").tempdir()?;
    // So many of the loopback's that no other test's nginx is there.
    let [a, b] = [fastrand::u8(64..128), fastrand::u8(1..255)];
    let addr = SocketAddr::from(([127, a, b, 1], fastrand::u16(10_000..30_000)));
    let mut site = read("nginx.conf");
    for (written, instead) in [
        ("listen 80;", format!("listen {addr};")),
        ("node1:8080", nodes[0].to_string()),
        ("node2:8080", nodes[1].to_string()),
    ] {
        assert!(site.contains(written), "expected {written:?} in {site}");
        site = site.replace(written, &instead);
    }
    let at = folder.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {at}/{name};"))
        .concat();
    let main = folder.path().join("nginx.conf");
    // One process, so that it has ended when it was killed.
    let text = format!(
        "daemon off; master_process off; pid {at}/pid;\nevents {{}}\n\
         http {{ access_log off; {temporary}\n{site}\n}}\n"
    );
    fs::write(&main, text)?;
    // Debian has it where only root looks.
    let found = Path::new("/usr/sbin/nginx");
    let program = if found.exists() {
        found
    } else {
        Path::new("nginx")
    };
    let mut command = Command::new(program);
    command.args(["-e", "stderr", "-c"]).arg(main);
    let mut process = Process::spawn(&mut command, folder.path().join("log"))?;
    let accepts = async |_: &Path| TcpStream::connect(addr).await.is_ok();
    process.ready(DEADLINE, accepts).await?;
    Ok((addr, process, folder))
}

/// Asks a node as its container does.
fn is_alive(node: SocketAddr) -> bool {
    let mut chat = Command::new(env!("CARGO_BIN_EXE_chat"));
    let asked = chat.arg("--alive").env("CHAT_LISTEN", node.to_string());
    asked.output().unwrap().status.success()
}

#[tokio::test]
async fn a_node_ends_and_everybody_goes_on_at_the_other_one() {
    let redis = Redis::start().await.unwrap();
    let environment = environment(&redis);
    let pairs = || {
        environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    };
    let (mut old, new) = (Chat::with(pairs()), Chat::with(pairs()));
    assert!(is_alive(old.address()) && is_alive(new.address()));
    let started = nginx([old.address(), new.address()]).await;
    let (at, _proxy, _folder) = started.expect("expected nginx: `just setup` installs it");
    for inside in ["/livez", "/readyz"] {
        let request = format!("GET {inside} HTTP/1.1\r\nHost: chat.test\r\n\r\n");
        let answer = raw_http(at, request.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 404, "{inside}");
    }

    let (token, _) = login(at, "Ann", None).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = come(at, &token).await;
        join_lobby(&mut client).await;
        clients.push(client);
    }
    let said = json!({ "room": "lobby", "text": "hello", "ref": "1" });
    clients[0].send("say", said).await.unwrap();
    for client in &mut clients {
        assert_eq!(next(client, "line").await["text"], "hello");
    }

    old.signal("-TERM");
    until("the old node has ended", async || old.ended().is_some()).await;
    assert_eq!(old.ended().unwrap().code(), Some(0));
    assert!(!is_alive(old.address()) && is_alive(new.address()));
    let mut came_back = 0;
    for mut client in clients {
        let asked = json!({ "room": "lobby" });
        let answer = match client.request("lines", asked.clone()).await {
            Ok(answer) => answer,
            Err(_) => {
                came_back += 1;
                client = come(at, &token).await;
                join_lobby(&mut client).await;
                client.request("lines", asked).await.unwrap()
            }
        };
        assert_eq!(answer["data"]["lines"][0]["text"], "hello");
    }
    assert!(
        (1..4).contains(&came_back),
        "{came_back} of 4 were at the old node"
    );
}
