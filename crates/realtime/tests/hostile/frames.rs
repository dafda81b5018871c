//! Frames that break the protocol, or that cost more than they may.

use std::time::Duration;

use realtime::Initiator;
use realtime_testkit::{
    client::Request,
    wait::{until, within},
};
use realtime_websocket::{Event, frame};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{
    log::SECRET,
    support::{Ends, HOSTS, Server, anonymous, memory, router},
};

const READ_LIMIT: usize = 4096;

/// A masked frame.
fn masked(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    frame::fragment(opcode, fin, payload, Some([1, 2, 3, 4])).into()
}

/// A masked text frame whose header says what it likes of its length.
fn of_length(length: &[u8]) -> Vec<u8> {
    [&[0x81], length, &[1, 2, 3, 4]].concat()
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    masked(8, true, &[&code.to_be_bytes()[..], reason].concat())
}

fn rows() -> Vec<(&'static str, Vec<u8>, u16)> {
    let text = |payload: &[u8]| masked(1, true, payload);
    let with_bit = |bit: u8| {
        let mut frame = text(SECRET.as_bytes());
        frame[0] |= bit;
        frame
    };
    let long = |opcode: u8| {
        let mut frame = masked(1, true, &[b'x'; 126]);
        frame[0] = 0x80 | opcode;
        frame
    };
    let twice = |first: Vec<u8>, second: Vec<u8>| [first, second].concat();
    let half = "☃".as_bytes().split_at(1);
    let limit = (READ_LIMIT as u64 + 1).to_be_bytes();
    let fragments: Vec<u8> = std::iter::once(masked(2, false, &[0; 1000]))
        .chain(std::iter::repeat_n(masked(0, false, &[0; 1000]), 4))
        .flatten()
        .collect();
    let empties: Vec<u8> = std::iter::once(masked(1, false, b""))
        .chain(std::iter::repeat_n(masked(0, false, b""), 20_000))
        .flatten()
        .collect();
    vec![
        ("unmasked", [b"\x81\x10", SECRET.as_bytes()].concat(), 1002),
        ("RSV1", with_bit(0x40), 1002),
        ("RSV2", with_bit(0x20), 1002),
        ("RSV3", with_bit(0x10), 1002),
        ("opcode 3", masked(3, true, b""), 1002),
        ("opcode 11", masked(11, true, b""), 1002),
        ("close of 126 bytes", long(8), 1002),
        ("ping of 126 bytes", long(9), 1002),
        ("pong of 126 bytes", long(10), 1002),
        ("fragmented ping", masked(9, false, b""), 1002),
        ("fragmented close", masked(8, false, b""), 1002),
        ("continuation alone", masked(0, true, b"x"), 1002),
        (
            "start inside a message",
            twice(masked(1, false, b"x"), text(b"x")),
            1002,
        ),
        ("16 bits for 5", of_length(&[0xfe, 0, 5]), 1002),
        (
            "64 bits for 5",
            of_length(&[0xff, 0, 0, 0, 0, 0, 0, 0, 5]),
            1002,
        ),
        (
            "top bit",
            of_length(&[0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            1002,
        ),
        ("2^62", of_length(&[0xff, 0x40, 0, 0, 0, 0, 0, 0, 0]), 1009),
        (
            "2^63 - 1",
            of_length(&[0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255]),
            1009,
        ),
        ("one over", of_length(&[0xfe, limit[6], limit[7]]), 1009),
        ("over in fragments", fragments, 1009),
        ("20,000 empty fragments", empties, 1008),
        ("invalid UTF-8", text(b"\xff"), 1007),
        ("overlong UTF-8", text(b"\xc0\x80"), 1007),
        ("a surrogate", text(b"\xed\xa0\x80"), 1007),
        ("UTF-8 that ends early", text(half.0), 1007),
        (
            "invalid across fragments",
            twice(masked(1, false, half.0), masked(0, true, b"x")),
            1007,
        ),
        (
            "early end across fragments",
            twice(masked(1, false, half.0), masked(0, true, &half.1[..1])),
            1007,
        ),
        ("binary", masked(2, true, SECRET.as_bytes()), 1003),
        ("close 0", close(0, b""), 1002),
        ("close 999", close(999, b""), 1002),
        ("close 1004", close(1004, b""), 1002),
        ("close 1005", close(1005, b""), 1002),
        ("close 1006", close(1006, b""), 1002),
        ("close 1015", close(1015, b""), 1002),
        ("close 2999", close(2999, b""), 1002),
        ("close 5000", close(5000, SECRET.as_bytes()), 1002),
        ("close of one byte", masked(8, true, b"\x03"), 1002),
        ("close with bad UTF-8", close(1000, b"\xff"), 1007),
    ]
}

/// With a lot behind it that the server hasn't read: without care TCP answers that with a reset,
/// and the peer never learns what it did wrong.
#[tokio::test]
async fn a_violation_is_answered_with_a_close_that_the_peer_sees() {
    let rows = rows();
    for host in HOSTS {
        let ends = Ends::default();
        let builder = ends.hear(realtime::builder().router(router()).read_limit(READ_LIMIT));
        let server = Server::under(host, builder.build().unwrap(), Request::new("/ws")).await;
        for (what, bytes, code) in &rows {
            let mut client = server.connect().await;
            let junk = vec![0xff; 256 * 1024];
            client
                .send_raw(&[&bytes[..], &junk].concat())
                .await
                .unwrap();
            let (got, reason) = client.closed().await.unwrap_or_else(|| panic!("{what}"));
            assert_eq!(got, *code, "{what}: {reason}");
            assert!(!reason.is_empty() && !reason.contains(SECRET), "{what}");
            drop(client);
            let info = ends.one().await;
            assert_eq!((info.initiator, info.expected), (Initiator::Error, false));
        }
        assert_eq!(server.stats().violations, rows.len() as u64);
        server.until_alone().await;
        server.finish().await;
    }
}

/// One who is in the middle of something, and looks at what came only when that is done.
#[tokio::test]
async fn a_peer_that_goes_on_sending_after_its_violation_sees_the_close_too() {
    for host in HOSTS {
        let gateway = realtime::builder().router(router()).build().unwrap();
        let server = Server::under(host, gateway, Request::new("/ws")).await;
        let mut client = server.connect().await;
        client.send_raw(&masked(3, true, b"")).await.unwrap();
        until("it is found out", async || server.stats().violations == 1).await;
        for _ in 0..20 {
            client.send_raw(&[0xff; 16 * 1024]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(client.closed().await.unwrap().0, 1002);
        drop(client);
        server.until_alone().await;
        server.finish().await;
    }
}

#[tokio::test]
async fn many_small_fragments_below_the_limits_are_one_message() {
    let server = Server::start(realtime::builder().router(router()).build().unwrap()).await;
    let mut client = server.connect().await;
    let text = json!({"id": "1", "route": "raw", "data": "☃".repeat(1000)}).to_string();
    let last = text.len() - 1;
    let bytes: Vec<u8> = text
        .bytes()
        .enumerate()
        .flat_map(|(n, byte)| masked(u8::from(n == 0), n == last, &[byte]))
        .collect();
    client.send_raw(&bytes).await.unwrap();
    assert_eq!(client.recv_json().await.unwrap()["id"], "1");
    drop(client);
    server.until_alone().await;
    server.finish().await;
}

#[tokio::test]
async fn a_close_is_answered_with_the_same_and_the_connection_ended() {
    for host in HOSTS {
        let ends = Ends::default();
        let builder = ends.hear(realtime::builder().router(router()));
        let server = Server::under(host, builder.build().unwrap(), Request::new("/ws")).await;
        // 1005 is what the client makes of a close without a code.
        let rows = [
            (masked(8, true, b""), 1005, ""),
            (close(1000, b""), 1000, ""),
            (close(1001, SECRET.as_bytes()), 1001, SECRET),
            (close(3000, b"done"), 3000, "done"),
            (close(4999, &[b'x'; 123]), 4999, &"x".repeat(123)),
        ];
        let mut clients = Vec::new();
        for (bytes, code, reason) in rows {
            let mut client = server.connect().await;
            let late = masked(1, true, br#"{"id":"late","route":"echo"}"#);
            // What follows a close is ignored, be it proper or not.
            let bytes = [&bytes[..], &late, b"\xff\xff\xff\xff"].concat();
            client.send_raw(&bytes).await.unwrap();
            let answer = client.recv().await.unwrap();
            let Event::Close(answer) = answer else {
                panic!("expected a close; got {answer:?}");
            };
            let answer = answer.map_or((1005, String::new()), |c| (c.code, c.reason));
            assert_eq!(answer, (code, reason.to_owned()));
            clients.push(client);
        }
        // Their side stays open: the server ends the connections by itself.
        for client in &mut clients {
            let end = tokio::time::timeout(Duration::from_secs(3), client.eof());
            end.await.expect("the server ends the connection");
        }
        server.until_alone().await;
        let ends = ends.take();
        assert_eq!(ends.len(), clients.len());
        for info in ends {
            assert_eq!((info.initiator, info.expected), (Initiator::Client, true));
        }
        assert_eq!(server.stats().violations, 0);
        server.finish().await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_mid_frame_is_a_session_that_ended_once() {
    for host in HOSTS {
        let ends = Ends::default();
        let builder = ends.hear(realtime::builder().router(router()));
        let server = Server::under(host, builder.build().unwrap(), Request::new("/ws")).await;
        let pieces: [&[u8]; 4] = [b"", b"\x81", b"\x81\xfe\x10", b"\x01\x85\x01\x02\x03\x04ab"];
        let mut broken = 0;
        for piece in pieces {
            for reset in [false, true] {
                let mut client = server.connect().await;
                server.session().await;
                client.send_raw(piece).await.unwrap();
                if reset {
                    client.stream.set_zero_linger().unwrap();
                    drop(client);
                } else {
                    client.stream.shutdown().await.unwrap();
                    client.eof().await;
                }
                let info = ends.one().await;
                assert_eq!(
                    (info.expected, info.code),
                    (!reset, None),
                    "{}",
                    info.reason
                );
                broken += 1;
                assert_eq!(server.stats().lost, broken);
                server.until_alone().await;
                let online = server.gateway.sessions_of(&anonymous()).await.unwrap();
                assert_eq!(online.len(), 1);
            }
        }
        server.finish().await;
    }
}

/// The pongs that the peer doesn't read are not kept, but for the last.
#[tokio::test]
async fn a_flood_of_pings_from_a_peer_that_does_not_read_costs_one_pong() {
    const PINGS: u32 = 200_000;
    let builder = realtime::builder().router(router()).write_timeout(None);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    let mut most = 0;
    for batch in 0..PINGS / 1000 {
        let pings: Vec<u8> = (batch * 1000..(batch + 1) * 1000)
            .flat_map(|n| masked(9, true, &[&n.to_be_bytes()[..], &[b'x'; 121]].concat()))
            .collect();
        within("the server to go on reading", client.send_raw(&pings))
            .await
            .unwrap();
        most = most.max(server.stats().queued_bytes);
    }
    // Nobody answers this: when it has failed, all pings before it have been read.
    client.send("nowhere", json!(1)).await.unwrap();
    until("all are read", async || server.stats().failed == 1).await;
    most = most.max(server.stats().queued_bytes);
    assert!(most > 0, "the pongs never filled the socket");
    assert!(most < 1024, "{most} bytes wait");
    let mut last = 0;
    let mut got = 0u32;
    while last + 1 < PINGS {
        let Event::Pong(payload) = client.recv().await.unwrap() else {
            panic!("expected a pong");
        };
        let n = u32::from_be_bytes(payload[..4].try_into().unwrap());
        assert!(got == 0 || n > last, "order is kept");
        (last, got) = (n, got + 1);
    }
    assert!(got < PINGS, "pongs were left out");
    drop(client);
    server.until_alone().await;
    server.finish().await;
}

/// Only a complete frame is a sign of life.
#[tokio::test]
async fn a_peer_that_only_drips_bytes_is_slow_and_not_dead() {
    let builder = realtime::builder().router(router());
    let builder = builder.heartbeat(Some(Duration::from_millis(200)));
    let builder = builder.pong_timeout(Some(Duration::from_millis(400)));
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    client.auto_pong = false;
    let frame = masked(1, true, &[b' '; 60_000]);
    let (dripped, rest) = frame.split_at(300);
    let mut pieces = dripped.chunks(1);
    let (begun, mut dripping) = (std::time::Instant::now(), true);
    until("all has dripped", async || {
        if let Some(piece) = pieces.next() {
            client.send_raw(piece).await.unwrap();
        } else {
            dripping = false;
        }
        !dripping
    })
    .await;
    assert!(
        begun.elapsed() > Duration::from_secs(1),
        "many pings went unanswered"
    );
    assert_eq!(server.stats().pong_timeouts, 0, "any byte is life");
    client.send_raw(rest).await.unwrap();
    client.auto_pong = true;
    // Spaces are no envelope, but they came whole.
    let answer = client.recv_json().await.unwrap();
    assert_eq!(answer["route"], "error");
    drop(client);
    server.until_alone().await;
    server.finish().await;
}

/// Nobody else pays for the one who holds the most, even if that one doesn't go.
#[tokio::test]
async fn past_the_budget_for_unfinished_messages_only_the_fullest_is_closed() {
    let builder = realtime::builder()
        .router(router())
        .read_limit(1_000_000)
        .assembly_budget(1_000_000);
    let server = Server::start(builder.build().unwrap()).await;
    let begin = async |size: usize| {
        let mut client = server.connect().await;
        let piece = [b"{\"data\":\"".to_vec(), vec![b'x'; size]].concat();
        let before = server.stats().assembling_bytes;
        client.send_raw(&masked(1, false, &piece)).await.unwrap();
        let held = async || server.stats().assembling_bytes >= before + size as u64;
        until("it is held", held).await;
        client
    };
    let mut small = begin(200_000).await;
    let mut middle = begin(250_000).await;
    // It doesn't fit any more, and stays connected when it is told so.
    let mut large = server.connect().await;
    large
        .send_raw(&masked(1, false, &[b'x'; 800_000]))
        .await
        .unwrap();
    let code = large.closed().await.unwrap().0;
    assert_eq!(code, 1009);
    for client in [&mut small, &mut middle] {
        for _ in 0..100 {
            client.send_raw(&masked(9, true, b"")).await.unwrap();
            assert_eq!(client.recv().await.unwrap(), Event::Pong("".into()));
        }
        client.send_raw(&masked(0, true, b"\"}")).await.unwrap();
    }
    let answered = async || server.stats().received >= 2 && server.stats().assembling_bytes == 0;
    until("the others' messages are complete", answered).await;
    assert_eq!(server.stats().violations, 1);
    drop((small, middle, large));
    server.until_alone().await;
    server.finish().await;
}

#[tokio::test]
async fn messages_that_wait_for_their_handler_count_as_unfinished_ones_do() {
    let (release, released) = tokio::sync::watch::channel(false);
    let routes = router().route("hang", move || {
        let mut released = released.clone();
        async move { drop(released.wait_for(|released| *released).await) }
    });
    let builder = realtime::builder()
        .router(routes)
        .read_limit(1_000_000)
        .assembly_budget(1_000_000);
    let server = Server::start(builder.build().unwrap()).await;
    let hang = async |size: usize| {
        let mut client = server.connect().await;
        client.send_text(r#"{"route":"hang"}"#).await.unwrap();
        let before = server.stats().assembling_bytes;
        let waiting = [b"{\"data\":\"".to_vec(), vec![b'x'; size], b"\"}".to_vec()].concat();
        client.send_raw(&masked(1, true, &waiting)).await.unwrap();
        let held = async || {
            let stats = server.stats();
            stats.assembling_bytes >= before + size as u64 || stats.violations > 0
        };
        until("it is held", held).await;
        client
    };
    let mut small = hang(200_000).await;
    let mut middle = hang(250_000).await;
    let mut large = hang(800_000).await;
    assert_eq!(large.closed().await.unwrap().0, 1009);
    release.send_replace(true);
    let handled = async || server.stats().failed == 2 && server.stats().assembling_bytes == 0;
    // They are for no route.
    until("the others' messages are handled", handled).await;
    for client in [&mut small, &mut middle] {
        client.send_raw(&masked(9, true, b"")).await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Event::Pong("".into()));
    }
    drop((small, middle, large));
    server.until_alone().await;
    server.finish().await;
}

#[tokio::test]
async fn what_is_promised_and_not_sent_costs_nothing() {
    let builder = realtime::builder().router(router()).read_limit(64 << 20);
    let server = Server::alone(builder.build().unwrap()).await;
    let before = memory();
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = server.connect().await;
        // A header for all that is allowed, and two bytes of it.
        let promise = of_length(&[0xff, 0, 0, 0, 0, 4, 0, 0, 0]);
        let piece = [&promise[..], &[b'{' ^ 1, b'"' ^ 2]].concat();
        client.send_raw(&piece).await.unwrap();
        clients.push(client);
    }
    let begun = async || server.stats().assembling_bytes >= 100;
    until("all have begun", begun).await;
    assert!(server.stats().assembling_bytes < 50 * 1024);
    let grown = memory().saturating_sub(before);
    // Under a sanitizer memory is not given back at once.
    assert!(grown < 128 << 20, "{grown} bytes for 50 promises of 64 MiB");
    drop(clients);
    server.until_alone().await;
    server.finish().await;
}
