//! What is compressed is read by the other side, for all that can be agreed on.

use realtime_websocket::{
    Event, Kind, Limits, Role,
    deflate::{Agreed, Compressor, Flow, InflatingDecoder, Level, Policy, SpareInflater, Window},
    frame,
};

use crate::peers::{KEY, agree, decode, json, message, noise, takeover};

const LEVELS: [Level; 3] = [Level::Fast, Level::Balanced, Level::Small];

fn windows() -> impl Iterator<Item = Window> {
    (9..=15).filter_map(Window::new)
}

/// Messages of all sizes that matter to a window, of which some resemble those before.
fn messages() -> Vec<(Kind, Vec<u8>)> {
    let mut messages = vec![
        (Kind::Text, b"".to_vec()),
        (Kind::Binary, b"".to_vec()),
        (Kind::Text, "ä€😀".repeat(200).into_bytes()),
    ];
    for size in [1, 511, 512, 513, 4_095, 4_096, 4_097, 40_000, 200_000] {
        messages.push((Kind::Text, json(size)));
        messages.push((Kind::Binary, noise(size)));
        messages.push((Kind::Text, json(size)));
    }
    messages.push((Kind::Binary, vec![0; 900_000]));
    messages.push((Kind::Text, json(4_000)));
    messages
}

fn hear(role: Role, agreed: Agreed, frames: &[impl AsRef<[u8]>]) {
    let bytes: Vec<u8> = frames.iter().flat_map(AsRef::as_ref).copied().collect();
    let expected: Vec<Event> = messages()
        .iter()
        .map(|(kind, payload)| message(*kind, payload))
        .collect();
    for size in [1_000, bytes.len()] {
        let mut decoder = InflatingDecoder::new(role, Limits::default(), Some(agreed));
        let heard = decode(&mut decoder, bytes.chunks(size));
        assert_eq!(heard.1, None);
        assert!(heard.0 == expected);
        assert_eq!(decoder.buffered(), 0);
        assert_eq!(decoder.retained() > 0, agreed.receive.takeover);
    }
}

fn policies() -> impl Iterator<Item = Policy> {
    windows().flat_map(|window| {
        [Policy::default(), takeover()]
            .map(|policy| policy.with_send_window(window).with_receive_window(window))
    })
}

#[test]
fn from_servers_to_clients() {
    for policy in policies() {
        let (server, client) = agree(policy, policy);
        assert_eq!(server.send, Some(client.receive));
        for level in LEVELS {
            for floor in [0, 512] {
                let flow = server.send.unwrap();
                let mut compressor = Compressor::with_flow(flow, level).with_floor(floor);
                let frames: Vec<_> = messages()
                    .iter()
                    .map(|(kind, payload)| compressor.server_frame(*kind, payload))
                    .collect();
                hear(Role::Client, client, &frames);
            }
        }
    }
}

#[test]
fn from_clients_to_servers() {
    for policy in policies() {
        let (server, client) = agree(policy, policy);
        assert_eq!(client.send, Some(server.receive));
        let flow = client.send.unwrap();
        let mut compressor = Compressor::with_flow(flow, Level::default());
        let frames: Vec<_> = messages()
            .iter()
            .map(|(kind, payload)| compressor.client_frame(*kind, payload, KEY))
            .collect();
        hear(Role::Server, server, &frames);
    }
}

#[test]
fn a_shared_frame_is_the_same_for_all_who_may_have_it() {
    let mut compressor = Compressor::new(Level::default());
    for size in [1_000, 1_024, 1_025, 5_000, 100_000] {
        let payload = json(size);
        let frame = compressor.server_frame(Kind::Text, &payload);
        assert_eq!(frame[0], 0xc1);
        assert_eq!(frame, compressor.server_frame(Kind::Text, &payload));
        for policy in policies() {
            let (server, client) = agree(Policy::default(), policy);
            let window = policy.receive_window;
            let fits = window == Window::MAX || size <= window.bytes();
            assert_eq!(server.takes_shared(size), fits);
            if !fits {
                continue;
            }
            let mut decoder = InflatingDecoder::new(Role::Client, Limits::default(), Some(client));
            let heard = decode(&mut decoder, [&frame[..]]);
            assert_eq!(heard, (vec![message(Kind::Text, &payload)], None));
        }
    }
    let (server, _) = agree(takeover(), takeover());
    assert!(!server.takes_shared(1_000));
}

#[test]
fn what_is_short_or_would_not_shrink_is_sent_plain() {
    let (with, _) = agree(takeover(), takeover());
    for flow in [
        agree(Policy::default(), Policy::default()).0.send,
        with.send,
    ] {
        let mut compressor = Compressor::with_flow(flow.unwrap(), Level::default());
        for plain in [json(511), noise(512), noise(70_000), vec![]] {
            let frame = compressor.server_frame(Kind::Binary, &plain);
            assert_eq!(frame, frame::server_frame(Kind::Binary, &plain));
            assert_eq!(compressor.smaller_server_frame(Kind::Binary, &plain), None);
            let frame = compressor.client_frame(Kind::Binary, &plain, KEY);
            assert_eq!(frame, frame::client_frame(true, Kind::Binary, &plain, KEY));
        }
        let compressed = compressor.server_frame(Kind::Binary, &json(512));
        assert_eq!(compressed[0], 0xc2);
        assert!(compressed.len() < 512);
    }
    let mut all = Compressor::new(Level::Fast).with_floor(0);
    assert_eq!(all.server_frame(Kind::Text, &[b'a'; 30])[0], 0xc1);
    assert_eq!(all.server_frame(Kind::Text, b"")[..], [0x81, 0]);
}

/// What the default ratio lets through, and what it doesn't.
#[test]
fn what_would_look_like_a_bomb_is_sent_plain() {
    for policy in [Policy::default(), takeover()] {
        let (server, client) = agree(policy, policy);
        for (size, first) in [(65_536, 0xc2), (65_537, 0x82), (1 << 20, 0x82)] {
            let (zeros, more) = (vec![0; size], json(2_000));
            let mut compressor = Compressor::with_flow(server.send.unwrap(), Level::default());
            let frames = [
                compressor.server_frame(Kind::Binary, &more),
                compressor.server_frame(Kind::Binary, &zeros),
                compressor.server_frame(Kind::Binary, &more),
            ];
            assert_eq!(frames[1][0], first, "{size}");
            let mut decoder = InflatingDecoder::new(Role::Client, Limits::default(), Some(client));
            let heard = decode(&mut decoder, frames.iter().map(|frame| &frame[..]));
            let expected = [&more, &zeros, &more].map(|said| message(Kind::Binary, said));
            // Not shown: it is long.
            assert!(heard == (expected.to_vec(), None), "{size}");
        }
    }
}

#[test]
fn a_shared_frame_is_compressed_for_those_alone_who_may_have_it() {
    let small = Policy::default().with_receive_window(Window::MIN);
    let peers = [
        None,
        Some(agree(Policy::default(), Policy::default()).0),
        Some(agree(Policy::default(), small).0),
        Some(agree(takeover(), takeover()).0),
    ];
    let mut compressor = Compressor::new(Level::default());
    for (payload, expected) in [
        (json(512), [0x81, 0xc1, 0xc1, 0x81]),
        (json(513), [0x81, 0xc1, 0x81, 0x81]),
        (json(20_000), [0x81, 0xc1, 0x81, 0x81]),
        (json(100), [0x81; 4]),
        (noise(20_000), [0x81; 4]),
    ] {
        let shared = compressor.shared_frame(Kind::Text, &payload);
        let plain = frame::server_frame(Kind::Text, &payload);
        for (peer, first) in peers.into_iter().zip(expected) {
            let sent = shared.for_peer(peer);
            assert_eq!(sent[0], first, "{} to {peer:?}", payload.len());
            assert_eq!(sent == &plain, first == 0x81);
        }
    }
    // What refers to earlier messages is nothing to be shared.
    let flow = peers[3].and_then(|agreed| agreed.send).unwrap();
    let shared = Compressor::with_flow(flow, Level::default()).shared_frame(Kind::Text, &json(999));
    for peer in peers {
        assert_eq!(shared.for_peer(peer)[0], 0x81);
    }
}

#[test]
fn a_frame_that_is_not_sent_is_forgotten_by_a_reset() {
    let (server, client) = agree(takeover(), takeover());
    for is_reset in [true, false] {
        let mut compressor = Compressor::with_flow(server.send.unwrap(), Level::default());
        let first = compressor.server_frame(Kind::Text, &json(600));
        let _dropped = compressor.server_frame(Kind::Binary, &[noise(600), json(600)].concat());
        if is_reset {
            compressor.reset();
        }
        let next = compressor.server_frame(Kind::Binary, &noise(600).repeat(2));
        let last = compressor.server_frame(Kind::Text, &json(600));
        let mut decoder = InflatingDecoder::new(Role::Client, Limits::default(), Some(client));
        let heard = decode(&mut decoder, [&first[..], &next, &last]);
        let expected = vec![
            message(Kind::Text, &json(600)),
            message(Kind::Binary, &noise(600).repeat(2)),
            message(Kind::Text, &json(600)),
        ];
        assert_eq!(heard == (expected, None), is_reset);
    }
}

#[test]
fn takeover_makes_what_resembles_the_last_message_small() {
    let (server, _) = agree(takeover(), takeover());
    let mut compressor = Compressor::with_flow(server.send.unwrap(), Level::default());
    let payload = json(4_000);
    let first = compressor.server_frame(Kind::Text, &payload).len();
    let second = compressor.server_frame(Kind::Text, &payload).len();
    assert!(second * 10 < first, "{second} after {first}");
}

#[test]
fn a_spare_inflater_serves_many_and_is_given_back() {
    let frame = Compressor::new(Level::Fast).client_frame(Kind::Binary, &json(200_000), KEY);
    let (agreed, _) = agree(Policy::default(), Policy::default());
    let decoder = || InflatingDecoder::new(Role::Server, Limits::default(), Some(agreed));
    let (mut one, mut two, mut spare) = (decoder(), decoder(), SpareInflater::new());
    let (mut begun, mut rest) = frame.split_at(frame.len() / 2);
    assert_eq!(one.decode_with(&mut begun, &mut spare), Ok(None));
    assert_eq!(spare.memory(), 0, "it is in use");
    let whole = two.decode_with(&mut &frame[..], &mut spare);
    assert_eq!(whole, Ok(Some(message(Kind::Binary, &json(200_000)))));
    assert!(spare.memory() > 0, "there is another");
    assert_eq!(one.decode_with(&mut rest, &mut spare), whole);
    assert_eq!((one.buffered(), two.buffered()), (0, 0));
    let garbage = frame::fragment(0x42, true, &[0xff; 20], Some(KEY));
    assert!(one.decode_with(&mut &garbage[..], &mut spare).is_err());
    assert!(spare.memory() > 0);
    let after = two.decode_with(&mut &frame[..], &mut spare);
    assert_eq!(after, whole, "what is left in it does no harm");
}

#[test]
fn a_window_that_zlib_has_not_means_that_what_we_send_stays_plain() {
    let answer = "permessage-deflate; server_no_context_takeover; client_max_window_bits=8";
    let agreed = Policy::default().accept([answer.as_bytes()]).unwrap();
    assert_eq!(agreed.map(|agreed| agreed.send), Some(None));
    let flow = |agreed: Option<Agreed>| agreed.map(|agreed| agreed.receive);
    assert!(flow(agreed).is_some_and(|Flow { takeover, .. }| !takeover));
}
