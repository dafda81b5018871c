//! Whether a server can be used: all that histories do, done once with keys of our own.

use std::time::Duration;

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    types::Value,
};
use futures::{FutureExt, future::BoxFuture};
use realtime_core::history::{Append, Epoch, InvalidRetention, Position, Retention, Since};
use realtime_redis::pool::{Command, Work};
use tokio::time::Instant;

use crate::{
    answer,
    history::{append_words, latest_words, position_words, since_words},
    keys::{Keys, RoomKeys},
    scripts::{APPEND, LATEST, POSITION, REMOVE, SINCE},
};

/// What is written ends soon, where it can't be removed.
const ENDS: Duration = Duration::from_secs(5);

/// Does what it vouches for: begins a stream, appends to it, trims it, reads and removes it.
#[derive(Debug)]
pub(crate) struct Probe {
    keys: Keys,
}

impl Work for Probe {
    fn run<'w>(
        &'w self,
        client: &'w Client,
        tag: &'w str,
        deadline: Instant,
    ) -> BoxFuture<'w, Result<(), Error>> {
        // Others do the same at the same time, in the same slot.
        let own = format!("{}:{:016x}", self.keys.probe(tag), fastrand::u64(..));
        let keys = RoomKeys::under(&own);
        async move { all(client, &keys, deadline).await }.boxed()
    }
}

impl Probe {
    pub(crate) const fn new(keys: Keys) -> Self {
        Self { keys }
    }
}

async fn all(client: &Client, keys: &RoomKeys, deadline: Instant) -> Result<(), Error> {
    let run = async |script, words: Vec<Value>| {
        let command = Command::run(script, keys.all(), words);
        command.send(client, deadline, false).await
    };
    let epoch = Epoch::random();
    run(&POSITION, position_words(&epoch, ENDS)).await?;
    // The second one takes the place of the first.
    for data in ["1", "2"] {
        run(
            &APPEND,
            append_words(entry(data).map_err(own)?, &epoch, ENDS),
        )
        .await?;
    }
    let after = Position::new(epoch, 1);
    let (missed, page) = futures::join!(
        run(&SINCE, since_words(&after, 1)),
        run(&LATEST, latest_words(None, 2)),
    );
    let (missed, page) = (missed?, page?);
    run(&REMOVE, Vec::new()).await?;
    let is_there = |data: &[u8]| data == b"2";
    let missed = match answer::since(missed, after.offset) {
        Some(Since::Complete { entries, .. }) => entries,
        _ => Vec::new(),
    };
    let page = answer::page(page)
        .map(|page| page.entries)
        .unwrap_or_default();
    match [&*missed, &*page] {
        [[missed], [newest]] if is_there(&missed.data) && is_there(&newest.data) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Unknown,
            "what was appended a moment ago is not there",
        )),
    }
}

fn entry(data: &'static str) -> Result<Append, InvalidRetention> {
    Ok(Append::new(data, Retention::new(1, ENDS)?))
}

/// It is within the bounds.
fn own(error: InvalidRetention) -> Error {
    Error::new(ErrorKind::Unknown, error.to_string())
}
