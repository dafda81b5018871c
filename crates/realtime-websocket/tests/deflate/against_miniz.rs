//! Held to DEFLATE of another make, in both directions, on what is whole and on what is spoilt.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};
use proptest::{prelude::*, sample::Index};
use realtime_websocket::{
    Event, Kind, Limits,
    deflate::{Compressor, Level, Policy},
};

use crate::peers::{BINARY, Miniz, agree, decode, f, json, server_with, takeover};

/// What miniz makes of the payload of a message, with what it has read by then.
#[derive(Debug, PartialEq)]
enum Theirs {
    /// All of it.
    Read(Vec<u8>),
    /// It isn't DEFLATE data.
    Refused,
    /// As far as the end of the data, behind which we read on.
    Ended(Vec<u8>),
}

fn theirs(state: &mut InflateState, payload: &[u8]) -> Theirs {
    let whole = [payload, &[0, 0, 0xff, 0xff]].concat();
    let (mut input, mut all, mut out) = (&whole[..], Vec::new(), vec![0; 1 << 16]);
    loop {
        let result = inflate(state, input, &mut out, MZFlush::None);
        input = &input[result.bytes_consumed..];
        all.extend_from_slice(&out[..result.bytes_written]);
        match result.status {
            Ok(MZStatus::Ok) if result.bytes_written == out.len() || !input.is_empty() => {}
            Ok(MZStatus::Ok) => return Theirs::Read(all),
            Err(miniz_oxide::MZError::Buf) if input.is_empty() => return Theirs::Read(all),
            Ok(MZStatus::StreamEnd) => return Theirs::Ended(all),
            Ok(MZStatus::NeedDict) | Err(_) => return Theirs::Refused,
        }
    }
}

fn fresh() -> Box<InflateState> {
    InflateState::new_boxed(DataFormat::Raw)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2_000),
        prop::collection::vec(prop::sample::select(b"abc ".to_vec()), 0..5_000),
        (0..70_000usize).prop_map(json),
        (any::<u8>(), 0..70_000usize).prop_map(|(byte, size)| vec![byte; size]),
    ]
}

/// The payload of a server's frame.
fn payload_of(frame: &[u8]) -> &[u8] {
    match frame[1] {
        126 => &frame[4..],
        127 => &frame[10..],
        _ => &frame[2..],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn they_read_what_we_compress(
        messages in prop::collection::vec(payload(), 1..4), keeps: bool, level in 0..3usize,
    ) {
        let policy = if keeps { takeover() } else { Policy::default() };
        let level = [Level::Fast, Level::Balanced, Level::Small][level];
        let flow = agree(policy, policy).0.send.unwrap();
        let mut compressor = Compressor::with_flow(flow, level).with_floor(0);
        let mut state = fresh();
        for message in messages {
            let frame = compressor.server_frame(Kind::Binary, &message);
            if frame[0] & 0x40 == 0 {
                prop_assert_eq!(payload_of(&frame), &message);
                continue;
            }
            prop_assert!(payload_of(&frame).len() < message.len());
            if !keeps {
                state = fresh();
            }
            prop_assert_eq!(theirs(&mut state, payload_of(&frame)), Theirs::Read(message));
        }
    }

    #[test]
    fn we_read_what_they_compress(
        messages in prop::collection::vec(payload(), 1..4),
        keeps: bool,
        level in 0..10i32,
        last: bool,
        sizes in prop::collection::vec(1..9_000usize, 1..5),
        step in 1..9_000usize,
    ) {
        let policy = if keeps { takeover() } else { Policy::default() };
        let mut miniz = Miniz::new(level);
        let (mut sent, mut events) = (Vec::new(), Vec::new());
        for message in messages {
            if !keeps {
                miniz = Miniz::new(level);
            }
            let data = if last {
                // Data that have come to their end, and a byte as in the RFC's example.
                let data = [miniz.last(&message), vec![0]].concat();
                miniz = Miniz::new(level);
                data
            } else {
                miniz.message(&message)
            };
            let (mut rest, mut opcode) = (&data[..], BINARY);
            for size in sizes.iter().cycle() {
                let (frame, more) = rest.split_at((*size).min(rest.len()));
                sent.extend(f(opcode, more.is_empty(), frame));
                (rest, opcode) = (more, 0);
                if rest.is_empty() {
                    break;
                }
            }
            events.push(Event::Binary(message.into()));
        }
        let mut server = server_with(policy, Limits::default()).with_ratio(None);
        prop_assert_eq!(decode(&mut server, sent.chunks(step)), (events, None));
    }

    /// Spoilt data: what we read they don't refuse, and the same comes out. (They don't look whether a
    /// message is whole, so not the other way round.)
    #[test]
    fn we_read_of_spoilt_data_what_they_read(
        message in payload(),
        at: Index,
        value: u8,
        cut: Option<Index>,
        level in 1..10i32,
    ) {
        let mut data = Miniz::new(level).message(&message);
        let index = at.index(data.len());
        data[index] = value;
        if let Some(cut) = cut {
            data.truncate(cut.index(data.len() + 1));
        }
        let limits = Limits::default().with_message(64 << 20);
        let mut server = server_with(Policy::default(), limits).with_ratio(None);
        let (events, violation) = decode(&mut server, [&f(BINARY, true, &data)[..]]);
        match &events[..] {
            // To us nothing stands for nothing, and to them it is cut off.
            [Event::Binary(ours)] if data.is_empty() => prop_assert!(ours.is_empty()),
            [Event::Binary(ours)] => match theirs(&mut fresh(), &data) {
                Theirs::Read(theirs) => prop_assert_eq!(ours, &theirs),
                Theirs::Ended(theirs) => prop_assert!(ours.starts_with(&theirs)),
                Theirs::Refused => prop_assert!(false, "we read {} bytes of it", ours.len()),
            },
            _ => prop_assert!(events.is_empty() && violation.is_some()),
        }
    }
}
