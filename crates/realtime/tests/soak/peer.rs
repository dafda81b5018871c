//! One client, from its connection to its end, which is one of many kinds.

use std::{net::SocketAddr, time::Duration};

use fastrand::Rng;
use realtime::Backpressure;
use realtime_testkit::client::{Client, Request};
use realtime_websocket::Event;
use serde_json::{Value, json};
use tokio::{net::TcpSocket, time::Instant};

use crate::seen::{End, Seen};

/// How long it may take until an end is seen, in units.
const PATIENCE: u32 = 60;
/// And so much longer, whatever a unit is: who doesn't answer a ping may have to read first what
/// came before it, and has a second for each 16 KB of it.
const READING: Duration = Duration::from_secs(30);
/// What the server keeps for one that doesn't read, and its socket, are full before this many.
const BURST: usize = 600;

pub struct Peer {
    client: Client,
    seen: Seen,
    rng: Rng,
    unit: Duration,
    next_id: u64,
    leaving: bool,
    end: Option<End>,
}

impl Peer {
    /// Connects. Its socket holds little of what it doesn't read.
    pub async fn connect(
        id: u64,
        addr: SocketAddr,
        policy: Backpressure,
        unit: Duration,
        rng: Rng,
    ) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8192).unwrap();
        let stream = socket.connect(addr).await.unwrap();
        let client = Request::new(format!("/ws?{id}")).over(stream).await;
        Self {
            client: client.unwrap(),
            seen: Seen::new(id, policy),
            rng,
            unit,
            next_id: 0,
            leaving: false,
            end: None,
        }
    }

    /// Lives its life. Returns what it has seen, and how it ended for it.
    pub async fn live(mut self) -> (Seen, End) {
        let life = self.some(4.0);
        self.talk(life).await;
        match self.rng.u8(0..9) {
            0 | 1 => self.ask("bye", json!(null)).await,
            2 => self.leave().await,
            3 => self.stall("burst").await,
            4 => self.stall("flow").await,
            5 => {
                self.ask("burst", json!(50)).await;
                self.read_for(self.unit / 100).await;
                let _gone_already = self.client.stream.set_zero_linger();
                return self.vanish();
            }
            6 => {
                self.ask("burst", json!(50)).await;
                return self.vanish();
            }
            7 => self.client.auto_pong = false,
            _ => self.ask("panic", json!(null)).await,
        }
        self.ended().await
    }

    /// Reads until then, and shows what it has seen.
    pub async fn read_until(&mut self, until: Instant) -> &Seen {
        self.read_for(until.saturating_duration_since(Instant::now()))
            .await;
        assert_eq!(self.end, None, "{:?}", self.seen);
        &self.seen
    }

    /// Asks for its end.
    pub async fn end(mut self) -> (Seen, End) {
        self.ask("bye", json!(null)).await;
        self.ended().await
    }

    async fn ended(mut self) -> (Seen, End) {
        self.read_for(self.unit * PATIENCE + READING).await;
        let Some(end) = self.end else {
            panic!("it hasn't ended: {:?}", self.seen);
        };
        (self.seen, end)
    }

    fn some(&mut self, units: f64) -> Duration {
        self.unit.mul_f64(self.rng.f64() * units)
    }

    async fn talk(&mut self, life: Duration) {
        let until = Instant::now() + life;
        while self.end.is_none() && Instant::now() < until {
            match self.rng.u8(0..10) {
                0 => self.ask("slow", json!("slow")).await,
                1 => self.ask("fail", json!(null)).await,
                2 => self.ask("burst", json!(20)).await,
                3 => self.send("this is no envelope").await,
                _ => self.ask("echo", json!({ "n": self.next_id })).await,
            }
            let pause = self.some(0.3);
            self.read_for(pause).await;
        }
    }

    /// Makes the server send a lot, and doesn't read for a while.
    async fn stall(&mut self, route: &str) {
        self.ask(route, json!(BURST)).await;
        let while_ = self.some(4.0);
        tokio::time::sleep(while_).await;
        self.ask("bye", json!(null)).await;
    }

    async fn leave(&mut self) {
        self.leaving = self.client.close(1000, "").await.is_ok();
    }

    fn vanish(self) -> (Seen, End) {
        (self.seen, self.end.unwrap_or(End::Lost))
    }

    async fn ask(&mut self, route: &str, data: Value) {
        let id = self.next_id;
        self.next_id += 1;
        self.seen.asked(id);
        let message = json!({ "id": id.to_string(), "route": route, "data": data });
        self.send(&message.to_string()).await;
    }

    /// Where the connection is gone, reading shows how.
    async fn send(&mut self, text: &str) {
        let limit = self.unit * PATIENCE;
        let sent = tokio::time::timeout(limit, self.client.send_text(text)).await;
        let _gone = sent.expect("the server reads, or ends the session");
    }

    async fn read_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while self.end.is_none() {
            let Ok(event) = tokio::time::timeout_at(until, self.client.recv()).await else {
                return;
            };
            match event {
                Ok(Event::Text(text)) => {
                    self.seen.message(&serde_json::from_str(&text).unwrap());
                }
                Ok(Event::Close(close)) => {
                    let code = close.map_or(1005, |close| close.code);
                    let end = if self.leaving && code == 1000 {
                        End::Left
                    } else {
                        End::Closed(code)
                    };
                    self.end = Some(end);
                }
                Ok(_) => {}
                Err(_) => self.end = Some(End::Lost),
            }
        }
    }
}
