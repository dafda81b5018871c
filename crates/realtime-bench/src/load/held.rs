//! What rooms take of a server's memory, and whether they give it back.

use std::{io, thread::sleep};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Options, Outcome,
    dialect::{Ask, Dialect},
    meter::Meter,
    rooms::name,
    works::{Field, settle},
};
use crate::{process::Process, work::Shape};

/// What rooms take of a server's memory, in bytes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Held {
    /// A room, without its members.
    pub(crate) room: f64,
    /// A member of a room.
    pub(crate) membership: f64,
    /// What the server has grown by with all of them in.
    pub(crate) full: f64,
    /// What is left of that once all have left.
    pub(crate) left: f64,
    /// What it has grown by when all are in for the second time.
    pub(crate) full_again: f64,
    pub(crate) left_again: f64,
}

/// In how many rooms each session is.
const OF_SESSION: usize = 100;

/// Each room gets a member, then another one, and loses both; and all that again.
pub(super) fn held(options: &Options, rooms: usize) -> io::Result<Outcome> {
    if !options.dialect.has_rooms() {
        return Err(io::Error::other("expected a dialect that has rooms"));
    }
    let half = rooms.div_ceil(OF_SESSION);
    let shape = Shape {
        sessions: 2 * half,
        payload: 128,
        window: 1,
    };
    let server = Process::of(options.pid);
    let mut field = Field::open(options, shape, Ask::Echo)?;
    let words = |word: fn(Dialect, &str) -> Bytes, session: usize| -> Bytes {
        let first = session % half * OF_SESSION;
        let its = first..rooms.min(first + OF_SESSION);
        let its: Vec<_> = its.map(|room| word(options.dialect, &name(room))).collect();
        its.concat().into()
    };
    field.all_send(options, |_| Bytes::new())?;
    settle(&server)?;
    let before = server.memory()?;
    let grown = || -> io::Result<f64> {
        settle(&server)?;
        Ok(server.memory()? as f64 - before as f64)
    };
    let mut rounds = [[0.0; 3]; 2];
    let mut outcome = Outcome::default();
    for [first, full, left] in &mut rounds {
        let meter = Meter::start(&server)?;
        for (which, grown_by) in [(0, first), (1, full)] {
            field.all_send(options, |session| match session / half == which {
                true => words(Dialect::joins_room, session),
                false => Bytes::new(),
            })?;
            *grown_by = grown()?;
        }
        outcome = meter.stop(2 * rooms as u64)?;
        field.all_send(options, |session| words(Dialect::leaves_room, session))?;
        // Where it is kept who is in a room, it isn't forgotten at once.
        sleep(options.length()?);
        *left = grown()?;
    }
    let [[first, full, left], [_, full_again, left_again]] = rounds;
    let each = |bytes: f64| bytes / rooms as f64;
    outcome.held = Some(Held {
        room: each(first - (full - first)),
        membership: each(full - first),
        full,
        left,
        full_again,
        left_again,
    });
    Ok(outcome)
}
