//! Answers over sockets, with connections that the server ends in the middle.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{collections::HashMap, net::SocketAddr};

use realtime::{CloseCode, Gateway, bind, serve};
use realtime_testkit::{
    client::Client,
    wait::{until, within},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{answers::room, model};

const QUESTIONS: [&str; 3] = ["How?", "Who?", "What did they write?"];

/// A server that keeps so many messages of each answer, and sends 200 tokens a second.
async fn start(keep: usize) -> (Gateway, SocketAddr) {
    let gateway = crate::build(200.0, keep).unwrap();
    let app = crate::page::router().route_service("/ws", gateway.clone());
    let listener = bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, app, gateway.clone()).into_future());
    (gateway, address)
}

/// An answer as a page has it, held to what is promised: it panics at a hole and at a double.
#[derive(Default)]
struct Answer {
    epoch: String,
    offset: u64,
    text: String,
    next: u64,
    ended: bool,
    /// What comes while it is loaded afresh.
    held: Option<Vec<Value>>,
}

impl Answer {
    fn is_at(&mut self, position: &Value) {
        self.epoch = position["epoch"].as_str().unwrap().to_owned();
        self.offset = position["offset"].as_u64().unwrap();
    }

    fn take(&mut self, message: &Value) {
        if let Some(held) = &mut self.held {
            return held.push(message.clone());
        }
        assert_eq!(message["offset"], self.offset + 1, "{message}");
        self.offset += 1;
        let n = message["data"]["n"].as_u64().unwrap();
        if message["route"] == "end" {
            self.ended = true;
        } else if n >= self.next {
            // Otherwise it was loaded with the text.
            assert_eq!(n, self.next);
            self.text
                .push_str(message["data"]["text"].as_str().unwrap());
            self.next += 1;
        }
    }
}

/// A page with several answers, over one connection at a time.
struct Page {
    client: Client,
    answers: HashMap<Uuid, Answer>,
}

impl Page {
    async fn open(server: SocketAddr) -> Self {
        let client = Client::connect(server).await.unwrap();
        let answers = HashMap::new();
        Self { client, answers }
    }

    async fn ask(&mut self, question: &str) -> Uuid {
        let id = Uuid::new_v4();
        self.answers.insert(id, Answer::default());
        let joined = self.request("join", json!({ "room": room(id) })).await;
        self.answers
            .get_mut(&id)
            .unwrap()
            .is_at(&joined["data"]["position"]);
        let asked = self
            .request("ask", json!({ "id": id, "question": question }))
            .await;
        assert_eq!(asked["route"], "ask");
        id
    }

    /// Sends a request; what comes before its answer is taken.
    async fn request(&mut self, route: &str, data: Value) -> Value {
        let request = json!({ "id": 1, "route": route, "data": data });
        self.client.send_text(&request.to_string()).await.unwrap();
        loop {
            let message = self.client.recv_json().await.unwrap();
            match message["id"] == 1 {
                true => return message,
                false => self.take(&message),
            }
        }
    }

    fn take(&mut self, message: &Value) {
        let id = message["room"].as_str().unwrap();
        let id = id.strip_prefix("answer:").unwrap().parse().unwrap();
        self.answers.get_mut(&id).unwrap().take(message);
    }

    async fn read_until(&mut self, holds: impl Fn(&Answer) -> bool) {
        within("the answers", async {
            while !self.answers.values().all(&holds) {
                let message = self.client.recv_json().await.unwrap();
                self.take(&message);
            }
        })
        .await;
    }

    /// Comes back on another connection. Returns how many answers were recovered; the others are
    /// loaded afresh.
    async fn come_back(&mut self, server: SocketAddr) -> usize {
        self.client = Client::connect(server).await.unwrap();
        let mut recovered = 0;
        for id in self.answers.keys().copied().collect::<Vec<_>>() {
            let Answer { epoch, offset, .. } = &self.answers[&id];
            let place = json!({ "room": room(id), "epoch": epoch, "offset": offset });
            let answer = self.request("recover", place).await;
            let known = self.answers.get_mut(&id).unwrap();
            if answer["data"]["recovered"] == true {
                recovered += 1;
                let missed = answer["data"]["missed"].as_array().unwrap();
                missed.iter().for_each(|message| known.take(message));
                continue;
            }
            known.is_at(&answer["data"]["position"]);
            known.held = Some(Vec::new());
            let loaded = self.request("load", json!({ "id": id })).await;
            let known = self.answers.get_mut(&id).unwrap();
            known.text = loaded["data"]["text"].as_str().unwrap().to_owned();
            known.next = loaded["data"]["next"].as_u64().unwrap();
            known.ended = loaded["data"]["done"] == true;
            for message in known.held.take().unwrap() {
                known.take(&message);
            }
        }
        recovered
    }
}

/// Ends all connections from the server's side.
fn cut(gateway: &Gateway) {
    for session in gateway.local_sessions() {
        session.close(CloseCode::SERVICE_RESTART, "");
    }
}

/// Waits until so many messages of an answer were sent.
async fn sent(gateway: &Gateway, id: Uuid, count: u64) {
    until("the answer goes on", async || {
        let history = gateway.room(room(id)).history(None, 1).await.unwrap();
        history.position.unwrap().offset >= count
    })
    .await;
}

#[tokio::test]
async fn three_answers_at_once_are_whole_though_the_server_ends_the_connection_twice() {
    let (gateway, server) = start(1_000).await;
    let mut page = Page::open(server).await;
    let mut asked = Vec::new();
    for question in QUESTIONS {
        asked.push((page.ask(question).await, question));
    }
    for tokens in [10, 60] {
        page.read_until(|answer| answer.next >= tokens).await;
        cut(&gateway);
        assert_eq!(page.client.closed().await.unwrap().0, 1012);
        // It is generated though nobody listens.
        for (id, _) in &asked {
            sent(&gateway, *id, tokens + 40).await;
        }
        assert_eq!(page.come_back(server).await, QUESTIONS.len());
    }
    page.read_until(|answer| answer.ended).await;
    for (id, question) in asked {
        assert_eq!(page.answers[&id].text, model::answer(question));
    }
}

#[tokio::test]
async fn who_was_away_for_more_than_is_kept_loads_afresh_and_goes_on() {
    let (gateway, server) = start(16).await;
    let mut page = Page::open(server).await;
    let id = page.ask(QUESTIONS[0]).await;
    page.read_until(|answer| answer.next >= 5).await;
    cut(&gateway);
    assert_eq!(page.client.closed().await.unwrap().0, 1012);
    sent(&gateway, id, 60).await;
    assert_eq!(
        page.come_back(server).await,
        0,
        "nothing is recovered in parts"
    );
    page.read_until(|answer| answer.ended).await;
    assert_eq!(page.answers[&id].text, model::answer(QUESTIONS[0]));
}

#[tokio::test]
async fn an_answer_is_for_members_and_asked_for_twice_it_comes_once() {
    let (_gateway, server) = start(1_000).await;
    let mut page = Page::open(server).await;
    let id = page.ask(QUESTIONS[0]).await;
    let again = json!({ "id": id, "question": QUESTIONS[0] });
    assert_eq!(page.request("ask", again).await["route"], "ask");
    page.read_until(|answer| answer.ended).await;
    let whole = &page.answers[&id].text;
    assert_eq!(*whole, model::answer(QUESTIONS[0]));

    let mut other = Page::open(server).await;
    for (route, data, code) in [
        ("load", json!({ "id": id }), "not_a_member"),
        ("ask", json!({ "id": id, "question": "?" }), "not_a_member"),
        ("join", json!({ "room": "answer:1" }), "unknown_room"),
    ] {
        assert_eq!(other.request(route, data).await["data"]["code"], code);
    }
    let id = Uuid::new_v4();
    other.request("join", json!({ "room": room(id) })).await;
    let long = "x".repeat(501);
    let long = other
        .request("ask", json!({ "id": id, "question": long }))
        .await;
    assert_eq!(long["data"]["code"], "bad_question");
    let unknown = other.request("load", json!({ "id": id })).await;
    assert_eq!(unknown["data"]["code"], "unknown_answer");
}

#[test]
fn pieces_are_the_answer_and_questions_have_their_own() {
    for question in QUESTIONS {
        let pieces: String = model::tokens(question).collect();
        assert_eq!(pieces, model::answer(question));
        assert!(model::tokens(question).count() > 150, "{question}");
    }
    assert_ne!(model::answer(QUESTIONS[0]), model::answer(QUESTIONS[1]));
}
