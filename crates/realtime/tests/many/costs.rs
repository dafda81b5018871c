//! What limits and identities that end take of memory, beside what a session takes without them.

use crate::{
    client::{BYTES_EACH, Server, end, round},
    server::{ENDING, LIMITED, NAMED},
};

const SESSIONS: usize = 4_000;
/// More than either of them takes, in a debug build, too; single runs differ by some 200 bytes.
const MOST: usize = 800;

#[tokio::main]
pub(crate) async fn limits_and_ends_take_little_memory_of_those_who_have_them() {
    let plain = bytes_each(NAMED).await;
    assert!(plain < BYTES_EACH, "{plain} without either");
    for kind in [LIMITED, ENDING] {
        let each = bytes_each(kind).await;
        assert!(each < plain + MOST, "{kind}: {each}, and {plain} without");
    }
}

async fn bytes_each(kind: &str) -> usize {
    let mut server = Server::start(kind);
    // What is made once is there already.
    end(round(&mut server, 200).await).await;
    let before = server.until("nothing of the first round is left", |held| {
        held.sessions == 0
    });
    let clients = round(&mut server, SESSIONS).await;
    let open = server.held();
    assert_eq!(open.sessions, SESSIONS as u64);
    let each = open.resident_bytes.saturating_sub(before.resident_bytes) / SESSIONS;
    println!("{each} bytes resident for each of {SESSIONS} idle sessions: {kind}");
    end(clients).await;
    each
}
