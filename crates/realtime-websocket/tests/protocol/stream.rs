//! What two peers might say: streams of frames, with the events that they stand for.

use proptest::{prelude::*, sample::Index};
use realtime_websocket::{
    CloseFrame, Decoder, Event, Kind, Limits, Role, Violation,
    frame::{self, Opcode},
};

/// The key of a frame sent to `role`.
pub(crate) fn key(role: Role, key: [u8; 4]) -> Option<[u8; 4]> {
    (role == Role::Server).then_some(key)
}

/// A frame sent to `role`. Built from the public pieces that a peer of this role would use.
pub(crate) fn frame_to(
    role: Role,
    fin: bool,
    opcode: Opcode,
    payload: &[u8],
    mask: [u8; 4],
) -> Vec<u8> {
    match role {
        Role::Server => frame::client_frame(fin, opcode, payload, mask).to_vec(),
        Role::Client => [
            &frame::header(fin, opcode, payload.len(), None)[..],
            payload,
        ]
        .concat(),
    }
}

/// All events of `pieces`, and how it ended.
pub(crate) fn decode<'b>(
    role: Role,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> (Vec<Event>, Option<Violation>) {
    let (mut decoder, mut events) = (Decoder::new(role, limits), Vec::new());
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
        assert!(piece.is_empty(), "Ok(None) leaves no input");
    }
    (events, None)
}

/// `bytes` in pieces.
pub(crate) fn cut<'b>(bytes: &'b [u8], cuts: &[Index]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|i| i.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
}

pub(crate) fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Client, Role::Server])
}

/// A message in fragments, with control frames between them.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    kind: Kind,
    payload: Vec<u8>,
    fragments: Vec<Index>,
    between: Vec<(bool, Vec<u8>)>,
    mask: [u8; 4],
}

pub(crate) fn said() -> impl Strategy<Value = Said> {
    let text = "[ -~äß€😀]{0,40}".prop_map(|text| (Kind::Text, text.into_bytes()));
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    // The lengths at which the header changes its form.
    let edge = prop::sample::select(vec![125, 126, 127, 65_535, 65_536]).prop_map(|n| vec![7; n]);
    let binary = prop_oneof![9 => bytes, 1 => edge].prop_map(|payload| (Kind::Binary, payload));
    let control = (any::<bool>(), prop::collection::vec(any::<u8>(), 0..=125));
    (
        prop_oneof![text, binary],
        prop::collection::vec(any::<Index>(), 0..4),
        prop::collection::vec(control, 0..3),
        any::<[u8; 4]>(),
    )
        .prop_map(|((kind, payload), fragments, between, mask)| Said {
            kind,
            payload,
            fragments,
            between,
            mask,
        })
}

impl Said {
    /// The frames to `role`, each by itself, and what they stand for.
    pub(crate) fn frames(&self, role: Role) -> (Vec<Vec<u8>>, Vec<Event>) {
        let (mut frames, mut events) = (Vec::new(), Vec::new());
        let pieces = cut(&self.payload, &self.fragments);
        let mut controls = self.between.iter();
        for (i, piece) in pieces.iter().enumerate() {
            let opcode = match i {
                0 => self.kind.into(),
                _ => Opcode::Continuation,
            };
            let fin = i + 1 == pieces.len();
            frames.push(frame_to(role, fin, opcode, piece, self.mask));
            if !fin && let Some((ping, payload)) = controls.next() {
                let opcode = if *ping { Opcode::Ping } else { Opcode::Pong };
                frames.push(frame_to(role, true, opcode, payload, self.mask));
                let payload = payload.clone().into();
                events.push(if *ping {
                    Event::Ping(payload)
                } else {
                    Event::Pong(payload)
                });
            }
        }
        let payload = self.payload.clone();
        events.push(match self.kind {
            Kind::Binary => Event::Binary(payload.into()),
            Kind::Text => Event::Text(String::from_utf8(payload).unwrap()),
        });
        (frames, events)
    }
}

/// A lawful conversation, which may end with a close.
pub(crate) fn conversation(role: Role) -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<Event>)> {
    let code = prop_oneof![1000..=1003u16, 1007..=1014u16, 3000..=4999u16];
    let close = prop::option::of((code, "[a-z€]{0,20}"));
    (
        prop::collection::vec(said(), 0..5),
        prop::option::of(close),
        any::<[u8; 4]>(),
    )
        .prop_map(move |(said, close, mask)| {
            let (mut frames, mut events) = (Vec::new(), Vec::new());
            for said in said {
                let (more, stand_for) = said.frames(role);
                frames.extend(more);
                events.extend(stand_for);
            }
            if let Some(why) = close {
                let payload = match &why {
                    Some((code, reason)) => frame::close_payload(*code, reason),
                    None => Vec::new(),
                };
                frames.push(frame_to(role, true, Opcode::Close, &payload, mask));
                let why = why.map(|(code, reason)| CloseFrame { code, reason });
                events.push(Event::Close(why));
            }
            (frames, events)
        })
}

/// How a stream was spoilt.
#[derive(Debug, Clone)]
enum Harm {
    Nothing,
    Overwrite(Index, u8),
    Remove(Index),
    Insert(Index, u8),
    CutOff(Index),
    SwapFrames(Index, Index),
    /// A byte of some frame's first two, where nearly all rules are.
    Header(Index, bool, u8),
    Frame(Index, u8, bool, Vec<u8>),
    CloseWith(u16, Vec<u8>),
}

fn harm() -> impl Strategy<Value = Harm> {
    let payload = || prop::collection::vec(any::<u8>(), 0..130);
    let at = any::<Index>;
    prop_oneof![
        2 => Just(Harm::Nothing),
        1 => (at(), any::<u8>()).prop_map(|(at, value)| Harm::Overwrite(at, value)),
        1 => at().prop_map(Harm::Remove),
        1 => (at(), any::<u8>()).prop_map(|(at, value)| Harm::Insert(at, value)),
        1 => at().prop_map(Harm::CutOff),
        1 => (at(), at()).prop_map(|(a, b)| Harm::SwapFrames(a, b)),
        3 => (at(), any::<bool>(), 0..8u32)
            .prop_map(|(at, second, bit)| Harm::Header(at, second, 1 << bit)),
        2 => (at(), 0..16u8, any::<bool>(), payload())
            .prop_map(|(at, opcode, fin, payload)| Harm::Frame(at, opcode, fin, payload)),
        1 => (prop_oneof![0..1100u16, 2990..3010u16, 4990..5010u16, any::<u16>()], payload())
            .prop_map(|(code, reason)| Harm::CloseWith(code, reason)),
    ]
}

/// A conversation with `role` that may be spoilt, as bytes.
pub(crate) fn maybe_spoilt(role: Role) -> impl Strategy<Value = Vec<u8>> {
    (conversation(role), harm(), any::<[u8; 4]>()).prop_map(move |((mut frames, _), harm, mask)| {
        match &harm {
            Harm::SwapFrames(a, b) if !frames.is_empty() => {
                let count = frames.len();
                frames.swap(a.index(count), b.index(count));
            }
            Harm::Header(at, second, bits) if !frames.is_empty() => {
                let count = frames.len();
                frames[at.index(count)][usize::from(*second)] ^= bits;
            }
            Harm::Frame(at, opcode, fin, payload) => {
                let frame = frame::fragment(*opcode, *fin, payload, key(role, mask));
                frames.insert(at.index(frames.len() + 1), frame.to_vec());
            }
            Harm::CloseWith(code, reason) => {
                let payload = [&code.to_be_bytes()[..], &reason[..reason.len().min(123)]].concat();
                frames.push(frame_to(role, true, Opcode::Close, &payload, mask));
            }
            _ => {}
        }
        let mut bytes = frames.concat();
        let count = bytes.len();
        match harm {
            Harm::Overwrite(at, value) if count > 0 => bytes[at.index(count)] = value,
            Harm::Remove(at) if count > 0 => drop(bytes.remove(at.index(count))),
            Harm::Insert(at, value) => bytes.insert(at.index(count + 1), value),
            Harm::CutOff(at) => bytes.truncate(at.index(count + 1)),
            _ => {}
        }
        bytes
    })
}
