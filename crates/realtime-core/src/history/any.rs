//! Any history behind one type.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

use super::{
    Append, Appended, History, HistoryError, HistoryEvents, Page, Position, Retention, Since,
};
use crate::RoomName;

/// Any history behind one type, cheap to clone.
#[derive(Clone)]
pub struct AnyHistory(Arc<dyn DynHistory>);

impl AnyHistory {
    /// Erases the type of a history.
    #[must_use]
    pub fn new(history: impl History) -> Self {
        Self(Arc::new(history))
    }
}

impl History for AnyHistory {
    async fn append(&self, room: &RoomName, append: Append) -> Result<Appended, HistoryError> {
        self.0.append(room, append).await
    }

    async fn since(
        &self,
        room: &RoomName,
        after: &Position,
        limit: usize,
    ) -> Result<Since, HistoryError> {
        self.0.since(room, after, limit).await
    }

    async fn latest(
        &self,
        room: &RoomName,
        before: Option<u64>,
        count: usize,
    ) -> Result<Page, HistoryError> {
        self.0.latest(room, before, count).await
    }

    async fn position(
        &self,
        room: &RoomName,
        retention: Retention,
    ) -> Result<Position, HistoryError> {
        self.0.position(room, retention).await
    }

    async fn remove(&self, room: &RoomName) -> Result<(), HistoryError> {
        self.0.remove(room).await
    }

    fn outlives_nodes(&self) -> bool {
        self.0.outlives_nodes()
    }

    fn events(&self) -> HistoryEvents {
        self.0.events()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

impl fmt::Debug for AnyHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyHistory").finish_non_exhaustive()
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, HistoryError>>;

/// The object-safe twin of [`History`].
trait DynHistory: Send + Sync {
    fn append<'a>(&'a self, room: &'a RoomName, append: Append) -> Answer<'a, Appended>;
    fn since<'a>(
        &'a self,
        room: &'a RoomName,
        after: &'a Position,
        limit: usize,
    ) -> Answer<'a, Since>;
    fn latest<'a>(
        &'a self,
        room: &'a RoomName,
        before: Option<u64>,
        count: usize,
    ) -> Answer<'a, Page>;
    fn position<'a>(&'a self, room: &'a RoomName, retention: Retention) -> Answer<'a, Position>;
    fn remove<'a>(&'a self, room: &'a RoomName) -> Answer<'a, ()>;
    fn outlives_nodes(&self) -> bool;
    fn events(&self) -> HistoryEvents;
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl<T: History> DynHistory for T {
    fn append<'a>(&'a self, room: &'a RoomName, append: Append) -> Answer<'a, Appended> {
        Box::pin(History::append(self, room, append))
    }

    fn since<'a>(
        &'a self,
        room: &'a RoomName,
        after: &'a Position,
        limit: usize,
    ) -> Answer<'a, Since> {
        Box::pin(History::since(self, room, after, limit))
    }

    fn latest<'a>(
        &'a self,
        room: &'a RoomName,
        before: Option<u64>,
        count: usize,
    ) -> Answer<'a, Page> {
        Box::pin(History::latest(self, room, before, count))
    }

    fn position<'a>(&'a self, room: &'a RoomName, retention: Retention) -> Answer<'a, Position> {
        Box::pin(History::position(self, room, retention))
    }

    fn remove<'a>(&'a self, room: &'a RoomName) -> Answer<'a, ()> {
        Box::pin(History::remove(self, room))
    }

    fn outlives_nodes(&self) -> bool {
        History::outlives_nodes(self)
    }

    fn events(&self) -> HistoryEvents {
        History::events(self)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(History::close(self))
    }
}
