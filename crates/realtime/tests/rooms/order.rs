//! What one task sends, by whatever way and while members come and go, arrives in its order, and
//! only at those whom it was for at that moment.

use realtime::{Json, Session};
use realtime_testkit::client::Client;
use serde_json::Value;

use super::{builder, named, support::Server};

const CLIENTS: usize = 5;
const ROOMS: [&str; 3] = ["a", "b", "c"];
const STEPS: u32 = 4_000;

/// A client, and what it is to get.
struct Reader {
    client: Client,
    session: Session,
    rooms: [bool; 3],
    expected: Vec<u32>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_task_sends_in_any_mixture_arrives_in_its_order() {
    let builder = builder().queue_messages(100_000).queue_bytes(64 << 20);
    let server = Server::start(builder.build().unwrap()).await;
    let mut readers = Vec::new();
    for n in 0..CLIENTS {
        let client = named(&server, &format!("t/{n}")).await;
        server.until_open(n as u64 + 1).await;
        let key = realtime::IdentityKey::new(n.to_string()).with_tenant("t");
        readers.push(Reader {
            client,
            session: server.gateway.local_sessions_of(&key).remove(0),
            rooms: [false; 3],
            expected: Vec::new(),
        });
    }
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for step in 0..STEPS {
        let (who, room) = (random.usize(..CLIENTS), random.usize(..3));
        let gateway = &server.gateway;
        let mut expect = |meant: &dyn Fn(usize, &Reader) -> bool| {
            for (n, reader) in readers.iter_mut().enumerate() {
                if meant(n, reader) {
                    reader.expected.push(step);
                }
            }
        };
        match random.u8(..10) {
            0 => {
                readers[who].session.join(ROOMS[room]).await.unwrap();
                readers[who].rooms[room] = true;
            }
            1 => {
                let left = readers[who].session.leave(ROOMS[room]);
                assert_eq!(left, std::mem::take(&mut readers[who].rooms[room]));
            }
            2 => {
                expect(&|_, _| true);
                gateway.broadcast("n", Json(step)).await.unwrap();
            }
            3 => {
                expect(&|n, _| n == who);
                readers[who].session.send("n", Json(step)).unwrap();
            }
            4 => {
                let other = (room + 1) % 3;
                expect(&|n, reader| n != who && (reader.rooms[room] || reader.rooms[other]));
                let audience = gateway.rooms([ROOMS[room], ROOMS[other]]);
                let audience = audience.except(&readers[who].session);
                audience.send("n", Json(step)).await.unwrap();
            }
            5 => {
                expect(&|n, _| n != who);
                let audience = gateway.tenant("t").except(&readers[who].session);
                audience.send("n", Json(step)).await.unwrap();
            }
            _ => {
                expect(&|_, reader| reader.rooms[room]);
                let members = readers.iter().filter(|reader| reader.rooms[room]).count();
                let sent = gateway.room(ROOMS[room]).send("n", Json(step)).await;
                assert_eq!(sent.unwrap().local, members);
            }
        }
        // So that what waits in the log is of every length.
        if random.u8(..20) == 0 {
            tokio::task::yield_now().await;
        }
    }
    server.gateway.broadcast("end", Json(0)).await.unwrap();
    for reader in &mut readers {
        let mut got = Vec::new();
        loop {
            let message: Value = reader.client.recv_json().await.unwrap();
            if message["route"] == "end" {
                break;
            }
            got.push(message["data"].as_u64().unwrap() as u32);
        }
        assert_eq!(got, reader.expected, "seed {seed}");
    }
    server.stop().await;
}
