//! How a client behaves: what it may send, what it has done wrong, and what the log says of that.
//!
//! A session whose client does nothing wrong and isn't limited has no memory for it.

use std::time::Duration;

use crate::{
    config::Rate,
    limits::{Allowance, Bucket, Held, Moment, OverLimit},
    node::Node,
    rarely::Rarely,
    session::Session,
};

/// How many messages at once may be malformed, on unknown routes, or with wrong data; more where a client
/// may be in more rooms, which may all be gone when it comes back.
const MISTAKES: Rate = Rate::per_second(1).with_burst(99);
/// In however many rooms a client may be.
const MOST_MISTAKES: usize = 1_000;
/// What of a flood counts once: a client that had no chance to see that it is one, because this
/// process was stopped for a while and then reads all that waits, has sent it in no time.
const STRIKE: Duration = Duration::from_millis(100);
/// How many of them are forgotten.
const FORGOTTEN: Rate = Rate::per_second(1);
/// How many long messages that are too much are looked at for their ids.
const LOOKS: Rate = Rate::per_second(10);
/// How many lines a minute the log has of the mistakes of one client.
const LINES: u32 = 5;

/// Boxed, where there is anything to keep.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// What it may send.
    allowance: Option<Allowance>,
    /// The places that its connection takes.
    held: Option<Box<Held>>,
    /// What it has done wrong, if anything.
    wrong: Option<Box<Wrong>>,
}

#[derive(Debug)]
struct Wrong {
    mistakes: Bucket,
    /// Lets one strike pass in its time.
    pace: Bucket,
    looks: Bucket,
    /// So many of them.
    strikes: Option<Bucket>,
    lines: Rarely,
}

impl Conduct {
    /// That of a new session, where something is limited.
    pub(super) fn new(
        node: &Node,
        session: &Session,
        held: Option<Box<Held>>,
    ) -> Option<Box<Self>> {
        let allowance = node.limits.allowance(session.identity_key());
        let is_limited = allowance.is_some() || held.is_some();
        is_limited.then(|| {
            Box::new(Self {
                allowance,
                held,
                wrong: None,
            })
        })
    }

    /// A message of so many bytes has come, when so many had been received of all.
    // Apart from the way of those that aren't limited, which is dearer with this in it.
    #[inline(never)]
    pub(super) fn take(
        &mut self,
        node: &Node,
        bytes: usize,
        received: u64,
    ) -> Result<(), OverLimit> {
        match &mut self.allowance {
            Some(allowance) => node.limits.take(allowance, bytes, received),
            None => Ok(()),
        }
    }

    /// A message was one too many, for the session by itself. Returns whether that goes on for too
    /// long.
    pub(super) fn floods(&mut self, node: &Node) -> bool {
        let now = Moment::now();
        let wrong = self.wrong(node);
        let Some(strikes) = &wrong.strikes else {
            return false;
        };
        wrong.pace.take(1, now).is_ok() && strikes.take(1, now).is_err()
    }

    /// A long message was one too many. Returns whether it is looked at all the same.
    pub(super) fn may_look(&mut self, node: &Node) -> bool {
        let now = Moment::now();
        self.wrong(node).looks.take(1, now).is_ok()
    }

    /// A message was one that nobody can handle. Returns whether there are too many of them.
    pub(super) fn is_mistaken(&mut self, node: &Node) -> bool {
        let now = Moment::now();
        self.wrong(node).mistakes.take(1, now).is_err()
    }

    /// What says when the log has a line about it.
    pub(super) fn lines(&mut self, node: &Node) -> &Rarely {
        &self.wrong(node).lines
    }

    /// Its connection is gone, so others may take its places.
    pub(super) fn free(&mut self) {
        self.held = None;
    }

    fn wrong(&mut self, node: &Node) -> &Wrong {
        self.wrong.get_or_insert_with(|| {
            let rooms = node.config.max_rooms_per_session.clamp(99, MOST_MISTAKES);
            let mistakes = MISTAKES.with_burst(rooms as u32);
            let patience = node.config.limits.flood_patience;
            let strikes = patience.map(|patience| {
                let strikes = patience.as_millis() / STRIKE.as_millis();
                let strikes = u32::try_from(strikes).unwrap_or(u32::MAX);
                Bucket::new(FORGOTTEN.with_burst(strikes))
            });
            Box::new(Wrong {
                mistakes: Bucket::new(mistakes),
                looks: Bucket::new(LOOKS),
                pace: Bucket::new(Rate::per_second(10).with_burst(1)),
                strikes,
                lines: Rarely::new(LINES),
            })
        })
    }
}
