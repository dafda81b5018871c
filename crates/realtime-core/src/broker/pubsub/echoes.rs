//! The numbers that are sent to and fro on a connection, which show what the server has read.
//!
//! One is under way at a time, for all who wait: one for each message of a burst would be as many
//! more, and a client library may drop what comes faster than it is taken.

use tokio::{
    sync::{Semaphore, watch},
    time::sleep,
};

use super::requests::{ANSWER, failed};
use crate::broker::BrokerError;

#[derive(Debug)]
pub(super) struct Echoes {
    numbers: watch::Sender<Numbers>,
    /// Whose turn it is to send one.
    turn: Semaphore,
}

#[derive(Debug, Default, Clone, Copy)]
struct Numbers {
    /// The last that was sent.
    sent: u64,
    /// The last that has come back.
    back: u64,
    /// How many were waited for in vain.
    lost: u64,
}

impl Echoes {
    pub(super) fn new() -> Self {
        Self {
            numbers: watch::Sender::default(),
            turn: Semaphore::new(1),
        }
    }

    /// One has come back, and with it all before it.
    pub(super) fn came(&self, number: u64) {
        self.numbers.send_if_modified(|numbers| {
            let is_news = number > numbers.back;
            numbers.back = numbers.back.max(number);
            is_news
        });
    }

    /// Waits until a number has come back that was sent after this was called. Where one is lost,
    /// all who wait hear of it.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the next who waits sends another.
    pub(super) async fn round_trip<F>(&self, send: impl FnOnce(u64) -> F) -> Result<(), BrokerError>
    where
        F: Future<Output = Result<(), BrokerError>>,
    {
        let mut numbers = self.numbers.subscribe();
        let before = *numbers.borrow();
        let told = async {
            let is_told = |now: &Numbers| now.back > before.sent || now.lost > before.lost;
            let told = numbers.wait_for(is_told).await;
            told.is_ok_and(|now| now.back > before.sent)
        };
        let own = async {
            let Ok(_turn) = self.turn.acquire().await else {
                return lost();
            };
            let sent = send(self.next()).await;
            if sent.is_ok() {
                sleep(ANSWER).await;
            }
            self.numbers.send_modify(|numbers| numbers.lost += 1);
            sent.err().unwrap_or_else(lost)
        };
        tokio::select! {
            biased;
            is_back = told => if is_back { Ok(()) } else { Err(lost()) },
            error = own => Err(error),
        }
    }

    fn next(&self) -> u64 {
        let mut number = 0;
        self.numbers.send_if_modified(|numbers| {
            numbers.sent += 1;
            number = numbers.sent;
            false
        });
        number
    }
}

fn lost() -> BrokerError {
    failed(format!("what was sent did not come back in {ANSWER:?}"))
}
