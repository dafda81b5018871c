//! A client that is in all rooms, and writes down what happens to it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime_testkit::client::{Client, Request};
use realtime_websocket::Event;
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};

use super::book::{At, Book, Entry, Number, Progress, ROOMS, Recovered, is_kept};

/// How long it waits before it connects again, anything up to that.
const PAUSE: Duration = Duration::from_millis(100);
/// After how many messages it does what it does.
const FEW: std::ops::Range<u32> = 10..120;
/// How long nothing may come before it looks whether it is to go on.
const SILENCE: Duration = Duration::from_millis(100);

/// What a member does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Nothing.
    Stays,
    /// It leaves a room now and then, and comes back.
    Leaves,
    /// Its connection ends now and then, and it comes back on another node.
    Roams,
}

/// What all members share with who watches them.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) progress: Progress,
    /// Where the nodes listen, of which some may be gone.
    pub(super) nodes: Mutex<Vec<SocketAddr>>,
    /// From then on members stay.
    pub(super) calm: AtomicBool,
}

/// What an answer is about.
#[derive(Debug, Clone)]
enum Asked {
    Join,
    Recover(At),
    Leave,
}

#[derive(Debug)]
pub(super) struct Member {
    index: usize,
    habit: Habit,
    shared: Arc<Shared>,
    node: usize,
    at: [Option<At>; ROOMS.len()],
    asked: HashMap<u64, (usize, Asked)>,
    last_id: u64,
    books: [Book; ROOMS.len()],
}

/// Why a connection is over.
#[derive(Debug)]
enum Over {
    Cut,
    Stopped,
}

impl Member {
    pub(super) fn new(index: usize, habit: Habit, shared: Arc<Shared>) -> Self {
        Self {
            index,
            habit,
            shared,
            node: index,
            at: Default::default(),
            asked: HashMap::new(),
            last_id: 0,
            books: Default::default(),
        }
    }

    pub(super) fn name(index: usize) -> String {
        format!("member-{index}")
    }

    /// Is there until it is told to stop. Returns its book of each room.
    pub(super) async fn run(mut self, stop: watch::Receiver<bool>) -> [Book; ROOMS.len()] {
        loop {
            if let Over::Stopped = self.live(&stop).await {
                return self.books;
            }
            self.settles(false);
            self.asked.clear();
            for book in &mut self.books {
                book.push(Entry::Cut);
            }
            self.node += 1;
            tokio::time::sleep(PAUSE.mul_f64(fastrand::f64())).await;
        }
    }

    fn settles(&self, is_settled: bool) {
        self.shared.progress.settles(self.index, is_settled);
    }

    /// One connection.
    async fn live(&mut self, stop: &watch::Receiver<bool>) -> Over {
        let node = {
            let nodes = self.shared.nodes.lock().unwrap();
            nodes[self.node % nodes.len()]
        };
        let request = Request::new(format!("/ws?{}", Self::name(self.index)));
        let Ok(mut client) = request.connect(node).await else {
            return Over::Cut;
        };
        for room in 0..ROOMS.len() {
            if self.enter(&mut client, room).await.is_err() {
                return Over::Cut;
            }
        }
        let mut fuse = fastrand::u32(FEW);
        loop {
            if *stop.borrow() {
                return Over::Stopped;
            }
            // Loading afresh is asked for, too.
            self.settles(self.asked.is_empty());
            let received = match timeout(SILENCE, client.recv()).await {
                Err(_silence) => continue,
                Ok(Ok(Event::Text(text))) => self.take(&mut client, &text).await,
                Ok(Ok(Event::Close(_)) | Err(_)) => return Over::Cut,
                Ok(Ok(_)) => continue,
            };
            if received.is_err() {
                return Over::Cut;
            }
            fuse = fuse.saturating_sub(1);
            if fuse > 0 || !self.asked.is_empty() {
                continue;
            }
            fuse = fastrand::u32(FEW);
            // In this order, so that who sees all settled when it is calm sees them stay so.
            self.settles(false);
            if self.shared.calm.load(SeqCst) {
                continue;
            }
            match self.habit {
                Habit::Stays => {}
                Habit::Roams => return Over::Cut,
                Habit::Leaves => {
                    let room = fastrand::usize(..ROOMS.len());
                    self.books[room].push(Entry::Leaves);
                    let asked = self.ask(&mut client, room, Asked::Leave).await;
                    if asked.is_err() {
                        return Over::Cut;
                    }
                }
            }
        }
    }

    async fn ask(&mut self, client: &mut Client, room: usize, what: Asked) -> Result<(), ()> {
        self.last_id += 1;
        let (id, name) = (self.last_id, ROOMS[room]);
        let (route, data) = match &what {
            Asked::Join => ("join", json!({"room": name})),
            Asked::Leave => ("leave", json!({"room": name})),
            Asked::Recover(At { epoch, offset }) => (
                "recover",
                json!({"room": name, "epoch": **epoch, "offset": offset}),
            ),
        };
        self.asked.insert(id, (room, what));
        let question = json!({"id": id, "route": route, "data": data});
        client.send_text(&question.to_string()).await.map_err(drop)
    }

    /// Comes in, with what it has missed where that can be had.
    async fn enter(&mut self, client: &mut Client, room: usize) -> Result<(), ()> {
        let how = self.at[room].clone().map_or(Asked::Join, Asked::Recover);
        self.ask(client, room, how).await
    }

    /// Takes what came.
    async fn take(&mut self, client: &mut Client, text: &str) -> Result<(), ()> {
        let message: Value = serde_json::from_str(text).unwrap();
        if let Some(id) = message["id"].as_u64() {
            return self.answered(client, id, &message).await;
        }
        match message["route"].as_str() {
            Some("n") => {
                let name = message["room"].as_str();
                let room = ROOMS.iter().position(|room| Some(*room) == name).unwrap();
                self.live_message(room, &message);
                Ok(())
            }
            Some("gap") => self.gap(client, &message["data"]).await,
            _ => panic!("expected a message of a room; got {text}"),
        }
    }

    fn live_message(&mut self, room: usize, message: &Value) {
        let (offset, number) = numbers(message);
        if let Some(at) = &mut self.at[room]
            && offset == at.offset + 1
        {
            at.offset = offset;
        }
        self.books[room].push(Entry::Live { offset, number });
        self.shared.progress.has_got(self.index, room, number);
    }

    async fn gap(&mut self, client: &mut Client, data: &Value) -> Result<(), ()> {
        for room in 0..ROOMS.len() {
            if !is_kept(room) {
                self.books[room].push(Entry::Gap(None));
                continue;
            }
            let now = &data["rooms"][ROOMS[room]];
            let (false, Some(at)) = (now.is_null(), self.at[room].clone()) else {
                continue;
            };
            let now = position(now).unwrap();
            self.books[room].push(Entry::Gap(Some(now.clone())));
            let is_behind = now.epoch != at.epoch || now.offset > at.offset;
            let is_asked = self.asked.values().any(|(of, _)| *of == room);
            if is_behind && !is_asked {
                self.ask(client, room, Asked::Recover(at)).await?;
            }
        }
        Ok(())
    }

    async fn answered(&mut self, client: &mut Client, id: u64, answer: &Value) -> Result<(), ()> {
        let (room, asked) = self.asked.remove(&id).unwrap();
        let data = &answer["data"];
        if answer["route"] == "error" {
            assert_eq!(data["temporary"], true, "{asked:?}: {answer}");
            tokio::time::sleep(PAUSE).await;
            return self.ask(client, room, asked).await;
        }
        let at = position(&data["position"]);
        match asked {
            Asked::Leave => {
                self.books[room].push(Entry::Left);
                tokio::time::sleep(PAUSE.mul_f64(fastrand::f64())).await;
                // One that shows its position gets what was sent meanwhile.
                match fastrand::bool() {
                    true => self.enter(client, room).await?,
                    false => self.ask(client, room, Asked::Join).await?,
                }
            }
            Asked::Join => {
                let begun = self.shared.progress.begun(room);
                self.at[room].clone_from(&at);
                self.books[room].push(Entry::Joined { at, begun });
            }
            Asked::Recover(from) if data["recovered"] == true => {
                let to = at.unwrap();
                let missed = data["missed"].as_array().unwrap().iter().map(numbers);
                let missed: Vec<(u64, Number)> = missed.collect();
                for (_, number) in &missed {
                    self.shared.progress.has_got(self.index, room, *number);
                }
                self.at[room] = Some(to.clone());
                let recovered = Recovered { from, to, missed };
                self.books[room].push(Entry::Recovered(Box::new(recovered)));
            }
            Asked::Recover(_) => {
                let at = at.unwrap();
                assert_eq!(data["recovered"], false, "{answer}");
                // It loads afresh, which is all there is.
                let all = At {
                    offset: 0,
                    ..at.clone()
                };
                self.at[room] = Some(at.clone());
                self.books[room].push(Entry::Lost { at });
                self.ask(client, room, Asked::Recover(all)).await?;
            }
        }
        Ok(())
    }
}

fn position(data: &Value) -> Option<At> {
    Some(At {
        epoch: data["epoch"].as_str()?.into(),
        offset: data["offset"].as_u64()?,
    })
}

/// Its place in the history, if there is one, and what it is.
fn numbers(message: &Value) -> (u64, Number) {
    let data = &message["data"];
    let number = (
        data[0].as_u64().unwrap() as usize,
        data[1].as_u64().unwrap(),
    );
    (message["offset"].as_u64().unwrap_or(0), number)
}
