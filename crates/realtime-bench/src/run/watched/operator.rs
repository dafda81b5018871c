//! An operator's page, as far as a node notices it: told of the node once a second, it asks for a page
//! of sessions and one of rooms every two.

use std::{
    io,
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::Duration,
};

use realtime::BoxError;
use realtime_testkit::client::{Client, Request};
use realtime_websocket::Event;
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// How often the page asks.
const EVERY: Duration = Duration::from_secs(2);
/// Within what it is told of the node, once a second.
const TOLD: Duration = Duration::from_secs(5);
/// What it is told, and what it asks for.
pub(super) const ROUTES: &[&str] = &["node", "sessions", "rooms"];

/// Something that the page got.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) route: String,
    pub(super) bytes: usize,
    /// Since it was asked for, where it was.
    pub(super) took: Option<Duration>,
}

/// A page that is open, in a thread of its own.
#[derive(Debug)]
pub(super) struct Operator {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<Vec<Answer>, BoxError>>,
}

impl Operator {
    /// Opens the page; what it gets is noted once so many sessions are open.
    pub(super) fn start(
        address: &str,
        sessions: usize,
        containing: &'static str,
    ) -> Result<Self, String> {
        let address: SocketAddr = address
            .parse()
            .map_err(|_| format!("expected the node's address; got {address:?}"))?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(look(address, sessions, containing, stopped))
        });
        Ok(Self { stop, thread })
    }

    /// Closes the page. Returns what it got.
    pub(super) fn stop(self) -> Result<Vec<Answer>, String> {
        // It may have ended by itself, and then says why.
        let _ended = self.stop.send(());
        let answers = self.thread.join();
        let answers = answers.map_err(|_| "the page got nothing any more".to_owned())?;
        let answers = answers.map_err(|e| format!("the page has failed: {e}"))?;
        match answers.iter().any(|answer| answer.took.is_some()) {
            true => Ok(answers),
            false => Err("expected answers for the page; got none: measure for longer".to_owned()),
        }
    }
}

async fn look(
    address: SocketAddr,
    sessions: usize,
    containing: &str,
    mut stopped: oneshot::Receiver<()>,
) -> Result<Vec<Answer>, BoxError> {
    let token = format!("Bearer {}", crate::serve::OPERATOR);
    let request = Request::new("/admin/ws").header("Authorization", &token);
    let mut page = request.connect(address).await?;
    let mut answers = Vec::new();
    let (mut is_full, mut next, mut asked) = (false, Instant::now(), Instant::now());
    loop {
        // It is told of the node before it asks for anything.
        let due = if is_full { next } else { Instant::now() + TOLD };
        let got = tokio::select! {
            biased;
            _ = &mut stopped => return Ok(answers),
            got = timeout_at(due, page.recv()) => got.ok(),
        };
        let Some(got) = got else {
            if !is_full {
                return Err(
                    format!("expected to be told of the node; got nothing for {TOLD:?}").into(),
                );
            }
            next += EVERY;
            asked = Instant::now();
            ask(&mut page, containing).await?;
            continue;
        };
        let Event::Text(text) = got? else {
            return Err("expected messages for the page; got something else".into());
        };
        let message: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
        let is_told = message["id"].is_null();
        let key = if is_told { "route" } else { "id" };
        let route = message[key].as_str().unwrap_or_default().to_owned();
        if is_told && !is_full {
            let open = message["data"]["stats"]["open"].as_u64();
            is_full = open.is_some_and(|open| open >= sessions as u64);
            next = Instant::now();
        } else if is_full {
            answers.push(Answer {
                route,
                bytes: text.len(),
                took: (!is_told).then(|| asked.elapsed()),
            });
        }
    }
}

/// As the page does: both at once.
async fn ask(page: &mut Client, containing: &str) -> Result<(), BoxError> {
    for route in ["sessions", "rooms"] {
        let data = json!({"containing": containing, "limit": 50});
        let question = json!({"id": route, "route": route, "data": data});
        page.send_text(&question.to_string()).await?;
    }
    Ok(())
}
