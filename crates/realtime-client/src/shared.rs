//! What the task of a client and its handles share: who reads what comes.

use std::sync::{Arc, Mutex, PoisonError};

use realtime_core::Message;
use tokio::sync::Notify;

use crate::{
    inbox::{Inbox, Outlet},
    question::Question,
};

pub(crate) struct Shared {
    readers: Mutex<Vec<Outlet<Message>>>,
    questions: Mutex<Outlet<Question>>,
    /// Somebody has stopped to read a room.
    pub(crate) gone: Arc<Notify>,
    /// The client is to end.
    pub(crate) closing: Notify,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            readers: Mutex::default(),
            questions: Mutex::new(Outlet::none()),
            gone: Arc::default(),
            closing: Notify::new(),
        }
    }

    pub(crate) fn read(&self, most: usize) -> Inbox<Message> {
        let inbox = Inbox::new(most, None);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(Outlet::is_open);
        readers.push(inbox.outlet());
        inbox
    }

    pub(crate) fn read_questions(&self, most: usize) -> Inbox<Question> {
        let inbox = Inbox::new(most, None);
        let mut questions = self
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *questions, inbox.outlet()).close();
        inbox
    }

    pub(crate) fn publish(&self, message: &Message) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| reader.push(message.clone()));
    }

    pub(crate) fn questions(&self) -> Outlet<Question> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        let readers = self
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .split_off(0);
        readers.iter().for_each(Outlet::close);
        self.questions().close();
    }
}
