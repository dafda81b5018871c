//! What was sent to each session, by the server's own count.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use realtime::{
    Backpressure, Builder, CloseCode, DisconnectInfo, Initiator, Json, Session,
    error::SendErrorKind,
};
use serde_json::json;
use tokio::sync::{RwLock, RwLockWriteGuard};

use super::say;
use crate::{
    plan::{NODES, POLICIES},
    wire::{Ended, Said},
};

/// The code with which a session is closed between two broadcasts.
pub const BYE: CloseCode = match CloseCode::new(4000) {
    Ok(code) => code,
    Err(_) => panic!("not a close code"),
};

/// How many broadcasts each node has begun.
pub type Begun = Arc<[AtomicU64; NODES]>;

/// The sessions of one node.
pub struct Books {
    node: usize,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    begun: Begun,
    /// Written while one is under way. Read while a session is closed: many may at once, since
    /// one after the other they would take long on a busy machine.
    between: RwLock<()>,
}

pub struct Entry {
    policy: Backpressure,
    session: Session,
    own: tokio::sync::Mutex<Own>,
    /// How many broadcasts each node had begun then.
    begun: [u64; NODES],
    /// How many there were when it was closed between two of them.
    broadcasts: OnceLock<u64>,
}

/// The messages for this session alone.
#[derive(Default)]
struct Own {
    offered: u64,
    refused: u64,
}

impl Books {
    pub fn new(node: usize, begun: &Begun) -> Self {
        Self {
            node,
            entries: Mutex::default(),
            begun: Arc::clone(begun),
            between: RwLock::default(),
        }
    }

    /// Adds the hooks that keep the books.
    pub fn keep(self: &Arc<Self>, builder: Builder) -> Builder {
        let (opened, closed) = (Arc::clone(self), Arc::clone(self));
        let opened = move |session| {
            opened.opened(session);
            std::future::ready(())
        };
        let closed = move |session, info| {
            let books = Arc::clone(&closed);
            async move { books.closed(session, info).await }
        };
        builder.on_connect(opened).on_disconnect(closed)
    }

    fn opened(&self, session: Session) {
        let entry = Entry {
            policy: POLICIES[self.node],
            session: session.clone(),
            own: tokio::sync::Mutex::default(),
            begun: self.begun(),
            broadcasts: OnceLock::new(),
        };
        let key = session.identity_key().id().to_owned();
        let before = self.entries.lock().unwrap().insert(key, Arc::new(entry));
        assert!(before.is_none(), "on_connect runs once");
    }

    fn begun(&self) -> [u64; NODES] {
        self.begun.each_ref().map(|begun| begun.load(SeqCst))
    }

    async fn closed(&self, session: Session, info: DisconnectInfo) {
        let key = session.identity_key().id();
        let entry = self.entry(&session);
        let begun = self.begun();
        let range = match entry.broadcasts.get() {
            Some(broadcasts) => (*broadcasts, *broadcasts),
            None => (0, begun[self.node]),
        };
        let own = entry.own.lock().await;
        say(&Said::Ended(Ended {
            id: key.parse().unwrap(),
            offered: own.offered,
            refused: own.refused,
            first_broadcast: entry.begun[self.node],
            broadcasts: range,
            begun: [entry.begun, begun],
            slow: info.initiator == Initiator::Backpressure,
            code: info.code.map(|code| code.as_u16()),
        }));
        // Only now, so that whoever finds it gone has heard of its end.
        let removed = self.entries.lock().unwrap().remove(key);
        assert!(removed.is_some(), "on_disconnect runs once");
    }

    /// The sessions, as they are now.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries.lock().unwrap().values().cloned().collect()
    }

    pub fn entry(&self, session: &Session) -> Arc<Entry> {
        let entries = self.entries.lock().unwrap();
        Arc::clone(
            entries
                .get(session.identity_key().id())
                .expect("a session between on_connect and on_disconnect"),
        )
    }

    /// The number of the next broadcast, which is under way until the guard is dropped.
    pub async fn next_broadcast(&self) -> (u64, RwLockWriteGuard<'_, ()>) {
        let between = self.between.write().await;
        (self.begun[self.node].fetch_add(1, SeqCst), between)
    }

    /// Closes a session between two broadcasts, so that it is known which were for it.
    pub async fn close(&self, session: &Session) {
        let entry = self.entry(session);
        let _no_broadcast_now = self.between.read().await;
        let broadcasts = self.begun()[self.node];
        session.close(BYE, "bye");
        let code = session.close_info().and_then(|info| info.code);
        if code == Some(BYE) {
            let _first = entry.broadcasts.set(broadcasts);
        }
    }
}

impl Entry {
    /// Sends the next number, unless another task is about to.
    pub fn try_send(&self, data: &str) {
        if let Ok(mut own) = self.own.try_lock() {
            self.offer(&mut own, data);
        }
    }

    pub async fn send(&self, data: &str) {
        self.offer(&mut *self.own.lock().await, data);
    }

    pub async fn send_wait(&self, data: &str) {
        let mut own = self.own.lock().await;
        let data = Json(&json!([own.offered, data]));
        if self.session.send_wait("own", data).await.is_ok() {
            own.offered += 1;
        }
    }

    fn offer(&self, own: &mut Own, data: &str) {
        let sent = self.session.send("own", Json(&json!([own.offered, data])));
        match sent.map_err(|error| error.kind()) {
            Ok(()) => own.offered += 1,
            Err(SendErrorKind::Backpressure) if self.policy == Backpressure::DropNewest => {
                own.offered += 1;
                own.refused += 1;
            }
            // It is closing, maybe for want of room for this one.
            Err(_) => {}
        }
    }
}
