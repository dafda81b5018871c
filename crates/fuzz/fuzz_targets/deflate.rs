//! Compressed messages among anything else, in any pieces: the pieces never change the events, memory
//! stays under the limit while it is inflated, and what a compressor of ours has made is read as it was.
#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use realtime_websocket::{
    Event, Kind, Limits, Role, Violation,
    deflate::{Agreed, Compressor, InflatingDecoder, Level, Policy, SpareInflater},
    frame,
};

const MESSAGE: usize = 16_384;
/// What waits to be inflated, and an inflater.
const BESIDE: usize = 2 * 4_096 + MESSAGE / 16 + 57_000;
const KEY: [u8; 4] = [1, 2, 3, 4];

#[derive(Debug, Arbitrary)]
struct Input {
    keeps: bool,
    sent: Vec<Sent>,
    cuts: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
enum Sent {
    Anything(Vec<u8>),
    Frame {
        bits: u8,
        fin: bool,
        payload: Vec<u8>,
    },
    /// As our own client compresses it, `times` over.
    Compressed {
        data: Vec<u8>,
        times: u8,
        spoilt: Option<(u16, u8)>,
    },
}

fn agreed(keeps: bool) -> Agreed {
    let policy = Policy::default()
        .with_send_takeover(keeps)
        .with_receive_takeover(keeps);
    let answer = policy.answer([policy.offer().as_bytes()]);
    answer.expect("it is what was offered").agreed()
}

fn decoder(agreed: Agreed) -> InflatingDecoder {
    let limits = Limits::default().with_message(MESSAGE).with_fragments(64);
    InflatingDecoder::new(Role::Server, limits, Some(agreed)).with_ratio(None)
}

fn events<'b>(
    decoder: &mut InflatingDecoder,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> (Vec<Event>, Option<Violation>) {
    let (mut all, mut spare) = (Vec::new(), SpareInflater::new());
    for mut piece in pieces {
        loop {
            match decoder.decode_with(&mut piece, &mut spare) {
                Ok(Some(event)) => all.push(event),
                Ok(None) => break,
                Err(violation) => {
                    assert_eq!((decoder.buffered(), decoder.retained()), (0, 0));
                    return (all, Some(violation));
                }
            }
            let held = decoder.buffered();
            assert!(held <= 2 * MESSAGE + BESIDE, "{held}");
        }
    }
    (all, None)
}

fn cut<'b>(mut bytes: &'b [u8], cuts: &[u8]) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    let mut sizes = cuts.iter().map(|cut| usize::from(*cut)).cycle();
    while !bytes.is_empty() {
        let size = sizes.next().unwrap_or(1).clamp(1, bytes.len());
        let (piece, rest) = bytes.split_at(size);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fuzz_target!(|input: Input| {
    let agreed = agreed(input.keeps);
    let flow = agreed.send.expect("the window is the largest");
    let mut compressor = Compressor::with_flow(flow, Level::Fast).with_floor(0);
    let (mut bytes, mut said, mut is_proper) = (Vec::new(), Vec::new(), true);
    for sent in &input.sent {
        match sent {
            Sent::Anything(anything) => {
                bytes.extend_from_slice(anything);
                is_proper &= anything.is_empty();
            }
            Sent::Frame { bits, fin, payload } => {
                bytes.extend(frame::fragment(bits & 0x7f, *fin, payload, Some(KEY)));
                is_proper = false;
            }
            Sent::Compressed {
                data,
                times,
                spoilt,
            } => {
                let data = data.repeat(usize::from(*times));
                let mut frame = compressor.client_frame(Kind::Binary, &data, KEY).to_vec();
                if let Some((at, value)) = spoilt {
                    let at = usize::from(*at) % frame.len();
                    is_proper &= frame[at] == *value;
                    frame[at] = *value;
                }
                is_proper &= data.len() <= MESSAGE;
                bytes.extend(frame);
                said.push(Event::Binary(data.into()));
            }
        }
    }
    let whole = events(&mut decoder(agreed), [&bytes[..]]);
    let pieces = events(&mut decoder(agreed), cut(&bytes, &input.cuts));
    assert_eq!(whole, pieces);
    if is_proper {
        assert_eq!(whole, (said, None));
    }
});
