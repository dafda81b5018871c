//! Many rooms, with each session in some of them, and members that stay or move.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    Options, Outcome,
    dialect::{Ask, Dialect},
    owed::Owed,
    works::Field,
};
use crate::work::{Rooms, Shape};

/// Who is in which room, and what is sent there.
struct Hall {
    /// For each room a message, ready to be written.
    messages: Vec<Bytes>,
    /// For each room those who were in it at first: some of them may move.
    members: Vec<Vec<usize>>,
    /// How many messages go out at once.
    window: usize,
    /// The room that is next.
    next: usize,
    movers: Option<Movers>,
}

/// The sessions that leave one room and join another, in turn.
struct Movers {
    /// For each its rooms, the one that it came to first in front.
    of: Vec<(usize, Vec<usize>)>,
    rooms: usize,
    interval: Duration,
    dialect: Dialect,
    done: u64,
}

/// How a room is called: all names have one length, so that all messages do.
pub(super) fn name(room: usize) -> String {
    format!("r{room:07}")
}

/// Messages go to the rooms in turn, each with members who stay.
pub(super) fn rooms(options: &Options, shape: Rooms) -> io::Result<Outcome> {
    let all_stay = |_| false;
    measure(options, shape, all_stay)
}

/// The same while every second session moves.
pub(super) fn moving(options: &Options, shape: Rooms) -> io::Result<Outcome> {
    if shape.rooms <= Rooms::OF_SESSION {
        let got = format!("expected more than {} rooms", Rooms::OF_SESSION);
        return Err(io::Error::other(got));
    }
    measure(options, shape, |session| session % 2 == 1)
}

fn measure(options: &Options, shape: Rooms, moves: impl Fn(usize) -> bool) -> io::Result<Outcome> {
    let dialect = options.dialect;
    if !dialect.has_rooms() {
        return Err(io::Error::other("expected a dialect that has rooms"));
    }
    let all = Shape {
        sessions: shape.sessions(),
        payload: shape.payload,
        window: 1,
    };
    let mut field = Field::open(options, all, Ask::Room)?;
    field.swarm.expected = dialect.to_room(&name(0), shape.payload).1;
    let members = members(shape);
    let mut of_session = vec![Vec::new(); shape.sessions()];
    for (room, members) in members.iter().enumerate() {
        for session in members {
            of_session[*session].push(room);
        }
    }
    field.all_send(options, |session| {
        let joins = of_session[session]
            .iter()
            .map(|room| dialect.joins_room(&name(*room)));
        joins.collect::<Vec<_>>().concat().into()
    })?;
    let mut of: Vec<_> = of_session.into_iter().enumerate().collect();
    of.retain(|(session, _)| moves(*session));
    let movers = match of.is_empty() {
        true => None,
        false => Some(Movers {
            of,
            rooms: shape.rooms,
            interval: options.interval()?,
            dialect,
            done: 0,
        }),
    };
    let message = |room| dialect.to_room(&name(room), shape.payload).0;
    let mut hall = Hall {
        messages: (0..shape.rooms).map(message).collect(),
        members,
        window: shape.window,
        next: 0,
        movers,
    };
    let mut outcome = field.measure(options, |field, until| {
        if let Some(movers) = &mut hall.movers {
            movers.done = 0;
        }
        hall.send(field, until)
    })?;
    outcome.moves = hall.movers.map_or(0, |movers| movers.done);
    Ok(outcome)
}

/// Who is in each room: all sessions are spread over as many rooms as they fill, ten times and
/// each time anew, always in the same way.
fn members(shape: Rooms) -> Vec<Vec<usize>> {
    let mut members = Vec::with_capacity(shape.rooms);
    for layer in 0..Rooms::OF_SESSION {
        let mut sessions: Vec<usize> = (0..shape.sessions()).collect();
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        sessions.sort_by_cached_key(|session| hasher.hash_one((layer, session)));
        members.extend(sessions.chunks(shape.members).map(<[_]>::to_vec));
    }
    members.truncate(shape.rooms);
    members
}

impl Hall {
    /// One session sends a window of messages, each to the next room; when those who stay have
    /// them, the next. At least once. Returns how many messages all got.
    fn send(&mut self, field: &mut Field, until: Instant) -> io::Result<u64> {
        let movers = self.movers.iter().flat_map(|movers| &movers.of);
        // Nobody knows which messages those who move get.
        let movers = movers.map(|(session, _)| *session);
        let mut owed = Owed::new(field.swarm.clients.len(), movers);
        let (mut burst, mut count) = (Vec::new(), 0);
        let mut moving = Instant::now();
        while count == 0 || Instant::now() < until {
            burst.clear();
            for _ in 0..self.window {
                burst.extend_from_slice(&self.messages[self.next]);
                owed.add(&self.members[self.next]);
                self.next = (self.next + 1) % self.messages.len();
            }
            let start = Instant::now();
            field.swarm.clients[0].send(&burst)?;
            while !owed.is_settled() {
                let latencies = &mut field.latencies;
                field.swarm.turn(None, |_, session, got| {
                    count += got;
                    latencies.record(start.elapsed(), got);
                    owed.got(session, got)
                })?;
                if let Some(movers) = &mut self.movers {
                    movers.catch_up(field, &mut moving)?;
                }
            }
        }
        Ok(count)
    }
}

impl Movers {
    /// Makes the moves whose time has come.
    fn catch_up(&mut self, field: &mut Field, due: &mut Instant) -> io::Result<()> {
        while *due <= Instant::now() {
            *due += self.interval;
            self.move_one(field)?;
        }
        Ok(())
    }

    /// The next session leaves the room that it has been in for the longest time.
    fn move_one(&mut self, field: &mut Field) -> io::Result<()> {
        let next = self.done as usize % self.of.len();
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let chosen = hasher.hash_one(self.done) as usize % self.rooms;
        self.done += 1;
        let (session, rooms) = &mut self.of[next];
        let left = rooms.remove(0);
        let joined = (chosen..self.rooms).chain(0..chosen);
        let mut joined = joined.filter(|room| *room != left && !rooms.contains(room));
        let joined = joined.next().unwrap_or(left);
        rooms.push(joined);
        let dialect = self.dialect;
        let both = [
            dialect.leaves_room(&name(left)),
            dialect.joins_room(&name(joined)),
        ]
        .concat();
        field.swarm.clients[*session].send(&both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_is_in_as_many_rooms_and_once_in_each() {
        let shape = Rooms {
            rooms: 100,
            members: 7,
            payload: 128,
            window: 1,
        };
        let members = members(shape);
        assert_eq!(members.len(), 100);
        let mut rooms_of = vec![0; shape.sessions()];
        for room in &members {
            let mut once = room.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!((room.len(), once.len()), (7, 7));
            room.iter().for_each(|session| rooms_of[*session] += 1);
        }
        assert!(rooms_of.iter().all(|rooms| *rooms == 10), "{rooms_of:?}");
    }
}
