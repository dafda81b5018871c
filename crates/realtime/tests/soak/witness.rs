//! A session at each node that reads all the time: what didn't reach it, didn't reach its node.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::{account::Account, peer::Peer};

/// How often it says what it has seen.
const OFTEN: Duration = Duration::from_millis(100);

/// Sees everything at a node until it shall end.
pub async fn watch(
    mut peer: Peer,
    account: Arc<Mutex<Account>>,
    mut enough: watch::Receiver<bool>,
) {
    while !*enough.borrow_and_update() {
        let seen = peer.read_until(Instant::now() + OFTEN).await;
        account.lock().unwrap().witnessed(seen);
    }
    let (seen, _end) = peer.end().await;
    account.lock().unwrap().witnessed(&seen);
}
