//! What `deploy/compose.yaml` starts, without containers: two nodes with its variables, Redis, and
//! nginx with its configuration; and the same with RabbitMQ, as `compose.rabbitmq.yaml` has it.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use futures::future::join_all;
use realtime_testkit::{
    client::{Client, raw_http},
    servers::{RabbitMq, Redis, ReverseProxy, reverse_proxy},
};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::chat::{Chat, come, join_lobby, login, next};

/// As long as the file wants it.
const KEY: &str = "0123456789abcdef0123456789abcdef";
/// How long compose waits for a node that was asked to end.
const GRACE: Duration = Duration::from_secs(30);
/// How often a page asks.
const PAUSE: Duration = Duration::from_millis(100);

/// The variables of a node, with what is outside of the containers here in place of what is inside.
fn environment(redis: &Redis, rabbitmq: Option<&RabbitMq>) -> Vec<(String, String)> {
    let mut read = variables("compose.yaml", "environment: &environment\n");
    if let Some(rabbitmq) = rabbitmq {
        // As compose puts one file over the other.
        for (name, value) in variables("compose.rabbitmq.yaml", "environment:\n") {
            let before = read.iter_mut().find(|(of, _)| *of == name).unwrap();
            let (scheme, host) = ("amqp://chat:${RABBITMQ_PASSWORD", "@rabbitmq:5672/%2f");
            assert!(
                value.starts_with(scheme) && value.ends_with(host),
                "{value}"
            );
            before.1 = rabbitmq.url();
        }
    }
    for (name, value) in &mut read {
        *value = value.replace("redis://redis:6379", &redis.url());
        match name.as_str() {
            "CHAT_KEY" => KEY.clone_into(value),
            "CHAT_MODERATOR" => value.clear(),
            // Where the proxy is, which isn't in a network of its own here.
            "CHAT_TRUSTED_PROXIES" => "127.0.0.1".clone_into(value),
            _ => assert!(!value.contains('$'), "{name}: {value}"),
        }
    }
    read.push(("CHAT_LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
    read
}

/// Those that stand behind this in a file.
fn variables(file: &str, behind: &str) -> Vec<(String, String)> {
    let compose = read(file);
    let (_, block) = compose.split_once(behind).unwrap();
    let lines = block.lines().take_while(|line| line.starts_with("    "));
    let lines = lines.map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once(": ").unwrap());
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn read(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    fs::read_to_string(folder.join(file)).unwrap()
}

/// nginx with the configuration of the folder before two nodes.
async fn nginx(nodes: [SocketAddr; 2]) -> ReverseProxy {
    let started = ReverseProxy::start(|addr, folder| {
        let mut site = read("nginx.conf");
        for (written, instead) in [
            ("listen 80;", format!("listen {addr};")),
            ("10.73.213.11:8080", nodes[0].to_string()),
            ("10.73.213.12:8080", nodes[1].to_string()),
        ] {
            assert!(site.contains(written), "expected {written:?} in {site}");
            site = site.replace(written, &instead);
        }
        reverse_proxy::nginx(folder, &site)
    });
    started
        .await
        .expect("expected nginx: `just setup` installs it")
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
    everybody_goes_on(&environment(&redis, None)).await;
}

#[tokio::test]
async fn with_rabbitmq_between_them_as_well() {
    let (rabbitmq, redis) = futures::try_join!(RabbitMq::start(), Redis::start()).unwrap();
    let environment = environment(&redis, Some(&rabbitmq));
    let broker = environment.iter().find(|(name, _)| name == "BROKER_URL");
    assert_eq!(broker.unwrap().1, rabbitmq.url());
    everybody_goes_on(&environment).await;
}

async fn everybody_goes_on(environment: &[(String, String)]) {
    let pairs = || {
        environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    };
    let (mut old, new) = (Chat::with(pairs()), Chat::with(pairs()));
    assert!(is_alive(old.address()) && is_alive(new.address()));
    let proxy = nginx([old.address(), new.address()]).await;
    let at = proxy.address();
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
    let (tell, over) = watch::channel(false);
    let ends = async {
        let ended = timeout(GRACE, async {
            while old.ended().is_none() {
                sleep(PAUSE).await;
            }
        });
        ended.await.expect("the old node has ended in time");
        tell.send_replace(true);
    };
    // All at once, since a node waits for clients that don't read.
    let go_on = clients
        .into_iter()
        .map(|client| goes_on(client, at, &token, over.clone()));
    let ((), came_back) = futures::join!(ends, join_all(go_on));
    assert_eq!(old.ended().unwrap().code(), Some(0));
    assert!(!is_alive(old.address()) && is_alive(new.address()));
    let came_back = came_back.into_iter().filter(|came_back| *came_back).count();
    assert!(
        (1..4).contains(&came_back),
        "{came_back} of 4 were at the old node"
    );
}

/// Asks for what was said, again and again until it is over, and comes back where it was sent away.
/// Says whether it was.
async fn goes_on(
    mut client: Client,
    at: SocketAddr,
    token: &str,
    over: watch::Receiver<bool>,
) -> bool {
    let mut came_back = false;
    loop {
        let is_over = *over.borrow();
        match client.request("lines", json!({ "room": "lobby" })).await {
            Ok(answer) => assert_eq!(answer["data"]["lines"][0]["text"], "hello", "{answer}"),
            Err(_) => {
                assert!(!came_back, "the new node has sent it away");
                came_back = true;
                client = come(at, token).await;
                join_lobby(&mut client).await;
                continue;
            }
        }
        if is_over {
            return came_back;
        }
        sleep(PAUSE).await;
    }
}
