//! What the task of a client and its handles share: who reads what comes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use realtime_core::Message;
use tokio::sync::Notify;

use crate::{
    inbox::{Inbox, Outlet},
    question::Question,
};

pub(crate) struct Shared {
    readers: Mutex<Readers>,
    /// Somebody has stopped to read a room.
    pub(crate) gone: Arc<Notify>,
    /// The client is to end.
    pub(crate) closing: Notify,
}

struct Readers {
    messages: Vec<Outlet<Message>>,
    questions: Outlet<Question>,
    /// Nothing more comes: who begins to read now is at the end.
    is_over: bool,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            readers: Mutex::new(Readers {
                messages: Vec::new(),
                questions: Outlet::none(),
                is_over: false,
            }),
            gone: Arc::default(),
            closing: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self, most: usize) -> Inbox<Message> {
        let inbox = Inbox::new(most, None);
        let mut readers = self.lock();
        if readers.is_over {
            inbox.close();
        } else {
            readers.messages.retain(Outlet::is_open);
            readers.messages.push(inbox.outlet());
        }
        inbox
    }

    pub(crate) fn read_questions(&self, most: usize) -> Inbox<Question> {
        let inbox = Inbox::new(most, None);
        let mut readers = self.lock();
        if readers.is_over {
            inbox.close();
        } else {
            std::mem::replace(&mut readers.questions, inbox.outlet()).close();
        }
        inbox
    }

    pub(crate) fn publish(&self, message: &Message) {
        let readers = &mut self.lock().messages;
        readers.retain(|reader| reader.push(message.clone()));
    }

    pub(crate) fn questions(&self) -> Outlet<Question> {
        self.lock().questions.clone()
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        let mut readers = self.lock();
        readers.is_over = true;
        readers.messages.drain(..).for_each(|reader| reader.close());
        readers.questions.close();
    }
}
