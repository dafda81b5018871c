//! Carries the messages of rooms with a history to their members, in order, and reads from the
//! history what is missing.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use crate::{
    hub::{Step, Stream},
    node::Node,
    rooms::{fill, tell_of_loss},
};

/// How many rooms are read from the history at the same time.
const AT_ONCE: usize = 32;
/// How soon it is tried again where the history doesn't answer.
const AGAIN: Duration = Duration::from_secs(1);
/// How many messages of one room are handed over before it is another's turn, where they are short.
const TURN: usize = 128;
/// So many bytes of a message count for another one: some are compressed here.
const AS_MUCH: usize = 16 * 1024;

/// Carries until the gateway ends.
pub(super) async fn run(node: Arc<Node>) {
    let mut work = Work {
        reading: FuturesUnordered::new(),
        to_read: VecDeque::new(),
        waiting: Vec::new(),
    };
    for stream in node.hub.rooms().restart_streams() {
        tell_of_loss(&node, &stream);
    }
    loop {
        let due = work.waiting.iter().map(|(due, _)| *due).min();
        let stream = tokio::select! {
            biased;
            () = node.stop.cancelled() => return,
            Some(stream) = work.reading.next() => stream,
            () = at(due) => match work.take_due() {
                Some(stream) => stream,
                None => continue,
            },
            stream = node.hub.rooms().streams().next() => stream,
        };
        advance(&node, &stream, &mut work).await;
        work.read_more();
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

type Reading = BoxFuture<'static, Arc<Stream>>;

#[derive(Default)]
struct Work {
    /// Streams that are being read from the history.
    reading: FuturesUnordered<Reading>,
    to_read: VecDeque<Reading>,
    /// Streams with a hole, and until when that is waited for.
    waiting: Vec<(Instant, Arc<Stream>)>,
}

impl Work {
    fn take_due(&mut self) -> Option<Arc<Stream>> {
        let now = Instant::now();
        let due = self.waiting.iter().position(|(due, _)| *due <= now)?;
        Some(self.waiting.swap_remove(due).1)
    }

    fn read_more(&mut self) {
        while self.reading.len() < AT_ONCE
            && let Some(next) = self.to_read.pop_front()
        {
            self.reading.push(next);
        }
    }
}

/// Does what can be done for a stream now. It is queued again when a message comes, also while it
/// is being read or waits.
async fn advance(node: &Arc<Node>, stream: &Arc<Stream>, work: &mut Work) {
    let mut handed = 0_usize;
    loop {
        match stream.step(Instant::now()) {
            Step::Hand(life, publication) => {
                let bytes = publication.frames.bytes();
                let sent = node.hub.send_in(stream.room(), life, &publication);
                publication.traced.around(sent).await;
                publication.traced.handed();
                stream.was_handed();
                handed += 1 + bytes / AS_MUCH;
                if handed >= TURN {
                    // It is still queued, behind the others.
                    node.hub.rooms().streams().push(Arc::clone(stream));
                    return tokio::task::yield_now().await;
                }
            }
            Step::Read(from) => {
                let (node, stream) = (Arc::clone(node), Arc::clone(stream));
                let reading = async move {
                    let answered = fill(&node, &stream, &from).await;
                    if !answered {
                        tokio::time::sleep(AGAIN).await;
                    }
                    stream.was_read(answered);
                    stream
                };
                work.to_read.push_back(reading.boxed());
                return;
            }
            Step::Wait(due) => {
                work.waiting
                    .retain(|(_, waits)| !Arc::ptr_eq(waits, stream));
                work.waiting.push((due, Arc::clone(stream)));
                return;
            }
            Step::Idle => return,
        }
    }
}
