//! What the application sees of the sessions, and what it has sent.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use realtime::{
    DisconnectInfo, Gateway, IdentityKey, Payload, Session, SessionId,
    error::{DeliverErrorKind, SendError, SendErrorKind},
    report::Delivery,
};

/// Shared with handlers and hooks.
#[derive(Clone, Debug, Default)]
pub struct Books(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
pub struct Inner {
    pub lives: HashMap<SessionId, Life>,
    /// The session under test, once it has connected.
    pub subject: Option<SessionId>,
    pub connecting: usize,
    next: u64,
    /// What the subject was sent: it is received, or the peer is told of a gap.
    pub sent: BTreeSet<u64>,
    /// A handler waits for the end of its session, which then may read nothing more.
    pub waits: bool,
    /// The largest message.
    pub largest: usize,
}

/// What the hooks heard of one session.
#[derive(Debug, Default)]
pub struct Life {
    pub connects: usize,
    pub connected: bool,
    pub ends: Vec<DisconnectInfo>,
}

impl Books {
    pub fn open(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with the books open")
    }

    /// Data with a number that comes once.
    pub fn payload(&self, size: usize) -> (u64, Payload) {
        let mut books = self.open();
        books.next += 1;
        let data = format!(r#"{{"n":{},"pad":"{}"}}"#, books.next, "x".repeat(size));
        books.largest = books.largest.max(data.len() + 64);
        (books.next, data.into())
    }

    pub fn send(&self, session: &Session, size: usize) {
        let (number, data) = self.payload(size);
        let taken = session.send("n", data);
        self.note(session, number, &taken);
    }

    pub async fn send_wait(&self, session: &Session, size: usize) {
        let (number, data) = self.payload(size);
        let taken = session.send_wait("w", data).await;
        self.note(session, number, &taken);
    }

    fn note(&self, session: &Session, number: u64, taken: &Result<(), SendError>) {
        let is_told = match taken {
            Ok(()) => true,
            Err(error) => {
                let kind = error.kind();
                assert!(
                    matches!(
                        kind,
                        SendErrorKind::Backpressure | SendErrorKind::SessionClosed
                    ),
                    "{error:?}"
                );
                kind == SendErrorKind::Backpressure
            }
        };
        let mut books = self.open();
        if is_told && books.subject == Some(session.id()) {
            books.sent.insert(number);
        }
    }
}

impl Books {
    /// Sends to all. The subject gets it if it is open: its policy decides in the same moment.
    pub async fn broadcast(&self, gateway: &Gateway, size: usize) {
        let (number, data) = self.payload(size);
        let was_open = self.subject_is_open(gateway);
        let sent = gateway.broadcast("n", data).await;
        self.note_delivery(number, was_open, sent.map_err(|error| error.kind()));
    }

    pub async fn send_to_identity(&self, gateway: &Gateway, to: &IdentityKey, size: usize) {
        let (number, data) = self.payload(size);
        let was_open = self.subject_is_open(gateway);
        let sent = gateway.send_to_identity(to, "n", data).await;
        self.note_delivery(number, was_open, sent.map_err(|error| error.kind()));
    }

    fn subject_is_open(&self, gateway: &Gateway) -> bool {
        let subject = self.open().subject.and_then(|id| gateway.local_session(id));
        subject.is_some_and(|session| !session.is_closed())
    }

    fn note_delivery(&self, number: u64, was_open: bool, sent: Result<Delivery, DeliverErrorKind>) {
        match sent {
            // Nobody took it, but the peer is told of the gap.
            Ok(_) | Err(DeliverErrorKind::NotOnline) => {}
            Err(DeliverErrorKind::Closed) => return,
            Err(other) => panic!("{other:?}"),
        }
        if was_open {
            self.open().sent.insert(number);
        }
    }
}
