//! What the server knows of answers, and the two routes: to ask, and to load afresh.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use realtime::{ClientError, Gateway, Json, Session, State};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::generate::generate;

/// How long an answer is kept.
pub(crate) const KEPT: Duration = Duration::from_secs(600);
/// How many are generated at once. What is kept is bounded by it, too: so many begin in that time.
const AT_ONCE: usize = 64;
const QUESTION: usize = 500;

/// The answers of this node. With several nodes this would be a database.
#[derive(Clone)]
pub(crate) struct Answers {
    answers: Arc<Mutex<HashMap<Uuid, Answer>>>,
    running: Arc<Semaphore>,
    every: Duration,
}

/// An answer, as far as it has come.
#[derive(Clone, Serialize)]
pub(crate) struct Answer {
    question: String,
    text: String,
    /// How many tokens the text has, which is the number of the next one.
    next: u64,
    done: bool,
}

impl Answers {
    pub(crate) fn new(every: Duration) -> Self {
        Self {
            answers: Arc::default(),
            running: Arc::new(Semaphore::new(AT_ONCE)),
            every,
        }
    }

    /// Notes the next token, and returns its number.
    pub(crate) fn push(&self, id: Uuid, token: &str) -> u64 {
        let mut answers = self.lock();
        let Some(answer) = answers.get_mut(&id) else {
            return 0;
        };
        answer.text.push_str(token);
        answer.next += 1;
        answer.next - 1
    }

    pub(crate) fn finish(&self, id: Uuid) {
        if let Some(answer) = self.lock().get_mut(&id) {
            answer.done = true;
        }
    }

    pub(crate) fn forget(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
pub(crate) struct Ask {
    id: Uuid,
    question: String,
}

/// Begins an answer. The page makes up its id and joins the room first, so it has the answer from
/// its first token on; to ask again with the same id, since it doesn't know whether it was heard,
/// changes nothing.
pub(crate) async fn ask(
    gateway: Gateway,
    session: Session,
    State(answers): State<Answers>,
    Json(Ask { id, question }): Json<Ask>,
) -> Result<(), ClientError> {
    is_member(&session, id)?;
    if question.trim().is_empty() || question.chars().count() > QUESTION {
        let message = format!("A question has 1 to {QUESTION} characters.");
        return Err(ClientError::new("bad_question", message));
    }
    let mut known = answers.lock();
    if known.contains_key(&id) {
        return Ok(());
    }
    let Ok(turn) = Arc::clone(&answers.running).try_acquire_owned() else {
        return Err(ClientError::new("busy", "Too many answers at once.").temporary());
    };
    let answer = Answer {
        question: question.clone(),
        text: String::new(),
        next: 0,
        done: false,
    };
    known.insert(id, answer);
    drop(known);
    let every = answers.every;
    // It goes on whether anybody listens or not.
    tokio::spawn(async move {
        generate(&gateway, &answers, id, &question, every).await;
        drop(turn);
        tokio::time::sleep(KEPT).await;
        answers.forget(id);
    });
    Ok(())
}

#[derive(Deserialize)]
pub(crate) struct Load {
    id: Uuid,
}

/// The whole answer so far, for a page that can't recover what it has missed. It is a member
/// already: which of the tokens that come meanwhile are in the text, their numbers say.
pub(crate) async fn load(
    session: Session,
    State(answers): State<Answers>,
    Json(Load { id }): Json<Load>,
) -> Result<Json<Answer>, ClientError> {
    is_member(&session, id)?;
    let answer = answers.lock().get(&id).cloned();
    let gone = || ClientError::new("unknown_answer", "The server doesn't have this answer.");
    answer.map(Json).ok_or_else(gone)
}

fn is_member(session: &Session, id: Uuid) -> Result<(), ClientError> {
    let room = room(id);
    match session.rooms().iter().any(|name| name.as_str() == room) {
        true => Ok(()),
        false => Err(ClientError::new("not_a_member", "Join the room first.")),
    }
}

/// The room of an answer.
pub(crate) fn room(id: Uuid) -> String {
    format!("answer:{id}")
}
