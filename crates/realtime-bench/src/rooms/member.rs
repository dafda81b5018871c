//! A client that is in the room, and comes back whenever its connection ends.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use tokio::{sync::watch, time::sleep};

use super::{ROOM, link::Link};

/// Where those connect from that are few.
pub(super) const OWN_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How many members connect from one address: it has some 28,000 ports, and those of ended
/// connections are still cooling down.
const PER_ADDRESS: usize = 4_000;
/// How long is waited before a connection at the most, anything from nothing up to that.
const JITTER: Duration = Duration::from_millis(200);

/// What all members share with who watches them.
#[derive(Debug)]
pub(super) struct Shared {
    /// Where to connect.
    pub(super) to: SocketAddr,
    /// Whether the first attempt after an end is made at once, too.
    pub(super) at_once: bool,
    /// How many have been in the room for once.
    pub(super) joined: AtomicU64,
    /// How many connections are open that are in the room.
    pub(super) inside: AtomicU64,
    /// How many times somebody was in the room again.
    pub(super) returned: AtomicU64,
    /// The greatest number that each has got.
    pub(super) latest: Vec<AtomicU64>,
}

/// What happened to a member, beside what it got.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Counts {
    /// Recoveries that were answered in full.
    pub(super) recovered: u64,
    /// Recoveries that were answered `recovered: false`.
    pub(super) lost: u64,
    /// Joins and recoveries that were answered by an error.
    pub(super) refused: u64,
    /// Live messages behind a hole, and notices of one: recovered like a connection that ended.
    pub(super) holes: u64,
    /// Answers and messages that are not in the protocol.
    pub(super) strange: u64,
}

/// A client that is in the room.
#[derive(Debug)]
pub(super) struct Member {
    number: usize,
    shared: Arc<Shared>,
    /// Since when it may connect; `None` while it may not.
    gate: watch::Receiver<Option<Instant>>,
    position: Option<Position>,
    /// All numbers that came, as they came.
    pub(super) book: Vec<u64>,
    pub(super) counts: Counts,
    /// From each end of a connection, or from when it might connect again, until it had recovered.
    pub(super) away: Vec<Duration>,
    /// The first thing that was strange.
    pub(super) oddity: Option<String>,
    /// The first error that it was answered by.
    pub(super) refusal: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Position {
    epoch: String,
    offset: u64,
}

/// A message, or an answer.
#[derive(Deserialize)]
struct Wire<'a> {
    id: Option<u64>,
    #[serde(borrow, default)]
    route: &'a str,
    offset: Option<u64>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The answer to a join or a recovery.
#[derive(Deserialize)]
struct Entered<'a> {
    position: Option<Position>,
    recovered: Option<bool>,
    #[serde(borrow, default)]
    missed: Vec<Wire<'a>>,
}

impl Member {
    pub(super) fn new(
        number: usize,
        shared: Arc<Shared>,
        gate: watch::Receiver<Option<Instant>>,
    ) -> Self {
        Self {
            number,
            shared,
            gate,
            position: None,
            book: Vec::new(),
            counts: Counts::default(),
            away: Vec::new(),
            oddity: None,
            refusal: None,
        }
    }

    /// Which of all it is.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Is there until it is told to stop, and is returned with all that it has written down.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Self {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.come_and_go() => {}
        }
        self
    }

    async fn come_and_go(&mut self) {
        loop {
            let ended = Instant::now();
            let Ok(opened) = self.gate.wait_for(Option::is_some).await.map(|at| *at) else {
                return;
            };
            let since = opened.map_or(ended, |opened| ended.max(opened));
            let mut waits = !self.shared.at_once;
            let mut link = loop {
                if waits {
                    sleep(JITTER.mul_f64(fastrand::f64())).await;
                }
                waits = true;
                // Whatever the reason: it is tried again.
                if let Ok(link) = self.enter(since).await {
                    break link;
                }
            };
            self.shared.inside.fetch_add(1, Relaxed);
            let _ended = self.listen(&mut link).await;
            self.shared.inside.fetch_sub(1, Relaxed);
        }
    }

    /// Connects, and joins or recovers.
    async fn enter(&mut self, since: Instant) -> io::Result<Link> {
        let third = u8::try_from(self.number / PER_ADDRESS).unwrap_or(u8::MAX);
        let from = IpAddr::V4(Ipv4Addr::new(127, 1, third, 1));
        let identity = format!("member-{}", self.number);
        let mut link = Link::open(from, self.shared.to, &identity).await?;
        let message = match &self.position {
            None => json!({"id": 1, "route": "join", "data": {"room": ROOM}}),
            Some(Position { epoch, offset }) => json!({"id": 1, "route": "recover",
                "data": {"room": ROOM, "epoch": epoch, "offset": offset}}),
        };
        link.send(&message.to_string()).await?;
        let answer = link.answer().await?;
        self.entered(&answer, since)?;
        Ok(link)
    }

    fn entered(&mut self, text: &str, since: Instant) -> io::Result<()> {
        let Some((answer, data)) = parse_entered(text) else {
            return self.strange("the answer to a join or a recovery", text);
        };
        if answer.route == "error" {
            self.counts.refused += 1;
            self.refusal.get_or_insert_with(|| text.to_owned());
            return Err(io::Error::other(text.to_owned()));
        }
        let Some(Entered {
            position: Some(position),
            recovered,
            missed,
        }) = data
        else {
            return self.strange("an answer with a position", text);
        };
        if self.position.is_none() {
            self.shared.joined.fetch_add(1, Relaxed);
        } else {
            match recovered {
                Some(true) => {
                    self.counts.recovered += 1;
                    self.away.push(since.elapsed());
                    for message in &missed {
                        if !self.write_down(message) {
                            return self.strange("missed messages with a number each", text);
                        }
                    }
                }
                Some(false) => self.counts.lost += 1,
                None => return self.strange("an answer that says whether it has recovered", text),
            }
            self.shared.returned.fetch_add(1, Relaxed);
        }
        self.position = Some(position);
        Ok(())
    }

    /// Takes what comes until the connection ends, or a hole ends it.
    async fn listen(&mut self, link: &mut Link) -> io::Result<()> {
        loop {
            let text = link.next().await?;
            let message: Option<Wire<'_>> = serde_json::from_str(&text).ok();
            match &message {
                Some(Wire { route: "gap", .. }) => return self.hole(),
                Some(
                    message @ Wire {
                        route: "room",
                        offset: Some(offset),
                        ..
                    },
                ) => {
                    let at = self.position.as_ref().map_or(0, |position| position.offset);
                    if *offset > at + 1 {
                        return self.hole();
                    }
                    if !self.write_down(message) {
                        return self.strange("a message with a number", &text);
                    }
                    if let Some(position) = &mut self.position {
                        position.offset = position.offset.max(*offset);
                    }
                }
                _ => return self.strange("a message of the room", &text),
            }
        }
    }

    fn write_down(&mut self, message: &Wire<'_>) -> bool {
        let number = message.data.and_then(|data| data.get().parse().ok());
        let Some(number) = number else {
            return false;
        };
        self.book.push(number);
        if let Some(latest) = self.shared.latest.get(self.number) {
            latest.fetch_max(number, Relaxed);
        }
        true
    }

    fn hole(&mut self) -> io::Result<()> {
        self.counts.holes += 1;
        Err(io::Error::other("messages are missing"))
    }

    fn strange(&mut self, expected: &str, got: &str) -> io::Result<()> {
        self.counts.strange += 1;
        let got: String = got.chars().take(200).collect();
        let oddity = format!("expected {expected}; got {got}");
        self.oddity.get_or_insert_with(|| oddity.clone());
        Err(io::Error::other(oddity))
    }
}

fn parse_entered(text: &str) -> Option<(Wire<'_>, Option<Entered<'_>>)> {
    let answer: Wire<'_> = serde_json::from_str(text).ok()?;
    if answer.id != Some(1) {
        return None;
    }
    let data = answer.data.map(|data| serde_json::from_str(data.get()));
    let data = data.and_then(Result::ok);
    Some((answer, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Member {
        let shared = Shared {
            to: SocketAddr::new(OWN_ADDRESS, 1),
            at_once: true,
            joined: AtomicU64::new(0),
            inside: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            latest: vec![AtomicU64::new(0)],
        };
        let gate = watch::Sender::new(None);
        Member::new(0, Arc::new(shared), gate.subscribe())
    }

    #[test]
    fn it_writes_down_what_it_has_missed_and_goes_on_from_the_position() {
        let (mut member, now) = (member(), Instant::now());
        let joined = r#"{"id":1,"route":"join","data":{"position":{"epoch":"e","offset":4}}}"#;
        member.entered(joined, now).unwrap();
        let back = r#"{"id":1,"route":"recover","data":{"recovered":true,
            "position":{"epoch":"e","offset":6},"missed":[
            {"route":"room","room":"bench","offset":5,"data":1},
            {"route":"room","room":"bench","offset":6,"data":2}]}}"#;
        member.entered(back, now).unwrap();
        assert_eq!(member.book, [1, 2]);
        assert_eq!(member.position.unwrap().offset, 6);
        assert_eq!((member.counts.recovered, member.counts.strange), (1, 0));
    }

    #[test]
    fn it_counts_what_is_not_recovered_refused_or_strange() {
        let (mut member, now) = (member(), Instant::now());
        let error = r#"{"id":1,"route":"error","data":{"code":"unavailable"}}"#;
        assert!(member.entered(error, now).is_err());
        assert!(member.entered(r#"{"id":1,"route":"join"}"#, now).is_err());
        assert!(member.entered(r#"{"route":"room","data":1}"#, now).is_err());
        let joined = r#"{"id":1,"route":"join","data":{"position":{"epoch":"e","offset":4}}}"#;
        member.entered(joined, now).unwrap();
        assert!(member.entered(joined, now).is_err());
        let lost = r#"{"id":1,"route":"recover","data":{"recovered":false,
            "position":{"epoch":"f","offset":9}}}"#;
        member.entered(lost, now).unwrap();
        let counts = member.counts;
        assert_eq!((counts.refused, counts.strange, counts.lost), (1, 3, 1));
        assert!(member.book.is_empty() && member.oddity.is_some());
    }
}
