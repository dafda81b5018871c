//! Held to another implementation: the same bytes give the same events, or are refused by both.
//!
//! Where they differ:
//! - tungstenite reads a length that isn't in its shortest form; the RFC says that the shortest
//!   form must be used, and we refuse any other. For a control frame that is any long form, and
//!   shows before the length does.
//! - It hands out a close with a forbidden code as 1002, which it also answers; we say that it is
//!   a violation.
//! - It forbids 1014 (bad gateway), which was registered after the RFC; we let it pass.
//! - It judges most frames once they are whole. So what we refuse is completed with zeros before
//!   tungstenite is asked: it must refuse it too, and with the same events before.

use std::io;

use proptest::prelude::*;
use realtime_websocket::{CloseFrame, Event, Limits, Role, Violation};
use tungstenite::{
    Error, Message,
    protocol::{Role as TheirRole, WebSocket, WebSocketConfig},
};

use crate::stream;

const LIMIT: usize = 70_000;

struct Wire<'b>(&'b [u8]);

impl io::Read for Wire<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.is_empty() {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.0.read(out),
        }
    }
}

impl io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Their events, and whether they refused what came next.
fn theirs(role: Role, bytes: &[u8]) -> (Vec<Event>, bool) {
    let role = match role {
        Role::Client => TheirRole::Client,
        Role::Server => TheirRole::Server,
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(LIMIT))
        .max_frame_size(Some(LIMIT));
    let mut socket = WebSocket::from_raw_socket(Wire(bytes), role, Some(config));
    let mut events = Vec::new();
    loop {
        events.push(match socket.read() {
            Ok(Message::Text(text)) => Event::Text(text.to_string()),
            Ok(Message::Binary(bytes)) => Event::Binary(bytes),
            Ok(Message::Ping(bytes)) => Event::Ping(bytes),
            Ok(Message::Pong(bytes)) => Event::Pong(bytes),
            Ok(Message::Close(close)) => {
                events.push(Event::Close(close.map(|close| CloseFrame {
                    code: close.code.into(),
                    reason: close.reason.to_string(),
                })));
                return (events, false);
            }
            Ok(Message::Frame(_)) => continue,
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return (events, false),
            Err(_) => return (events, true),
        });
    }
}

fn as_they_see_it(event: Event) -> Event {
    match event {
        Event::Close(Some(close)) if close.code == 1014 => Event::Close(Some(CloseFrame {
            code: 1002,
            reason: "Protocol violation".to_owned(),
        })),
        event => event,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn we_agree(
        (role, bytes) in stream::role().prop_flat_map(|role| {
            (Just(role), stream::maybe_spoilt(role))
        }),
    ) {
        let limits = Limits::default().with_message(LIMIT);
        let (events, violation) = stream::decode(role, limits, [&bytes[..]]);
        let Some(violation) = violation else {
            let events = events.into_iter().map(as_they_see_it).collect();
            prop_assert_eq!(theirs(role, &bytes), (events, false));
            return Ok(());
        };
        let completed = [&bytes[..], &vec![0; LIMIT + 14]].concat();
        let (their_events, refused) = theirs(role, &completed);
        match violation {
            Violation::BadLength => prop_assert_eq!(&their_events[..events.len()], events),
            Violation::BadControl if their_events.len() > events.len() => {
                let (before, after) = their_events.split_at(events.len());
                prop_assert_eq!(before, events);
                prop_assert!(!matches!(after[0], Event::Text(_) | Event::Binary(_)));
            }
            Violation::BadClose if !refused => {
                let (close, before) = their_events.split_last().unwrap();
                let code = match close {
                    Event::Close(Some(close)) => Some(close.code),
                    _ => None,
                };
                prop_assert_eq!(code, Some(1002));
                prop_assert_eq!(before, events);
            }
            _ => prop_assert_eq!((their_events, refused), (events, true), "{}", violation),
        }
    }
}
