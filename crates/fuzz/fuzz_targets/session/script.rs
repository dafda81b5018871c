//! What happens in one run: how the gateway is set up, what the peer and the application do, and
//! how it ends.

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use realtime_websocket::{Kind, frame};

/// Steps past this are not taken, and pieces past this are sent in one.
const STEPS: usize = 32;
const PIECES: usize = 16;

#[derive(Arbitrary, Debug)]
pub struct Script {
    pub setup: Setup,
    steps: Vec<Step>,
    pub ending: Ending,
}

impl Script {
    pub fn steps(&self) -> &[Step] {
        &self.steps[..self.steps.len().min(STEPS)]
    }
}

#[derive(Arbitrary, Debug)]
pub struct Setup {
    pub policy: Policy,
    queue_messages: u8,
    queue_bytes: u16,
    read_limit: u16,
    pub wire: Wire,
    pub recovery: bool,
    pub timeout: bool,
    pub fallback: bool,
    /// The host has authenticated the peer itself.
    pub accept: bool,
    /// A second session that behaves, and must be served whatever the first one does.
    pub bystander: bool,
    pub tight_budgets: bool,
    pub heartbeat: bool,
    pub answers_pings: bool,
    pub on_connect: Hook,
    pub on_disconnect: Hook,
}

impl Setup {
    pub fn queue_messages(&self) -> usize {
        usize::from(self.queue_messages % 16) + 1
    }

    pub fn queue_bytes(&self) -> usize {
        usize::from(self.queue_bytes % 4096) + 1
    }

    pub fn read_limit(&self) -> usize {
        usize::from(self.read_limit % 4096) + 64
    }
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Close,
    DropNewest,
    DropOldest,
}

/// What the socket is like.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub struct Wire {
    buffer: u8,
    pub vectored: bool,
}

impl Wire {
    /// How many bytes it takes before somebody reads, in each direction.
    pub fn buffer(self) -> usize {
        64 << (self.buffer % 10)
    }
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    Succeeds,
    Sends,
    Closes,
    Slow,
    Fails,
    Panics,
    Hangs,
}

#[derive(Arbitrary, Debug)]
pub enum Step {
    Message(Message),
    Fragments(Fragments),
    Frame(Frame),
    Close { code: u16, reason: String },
    Garbage(Vec<u8>),
    Reading(bool),
    Rest { ms: u16 },
    Server(Action),
}

/// What the application does to the session from outside.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub enum Action {
    Send(Burst),
    SendWait(Burst),
    Broadcast(Burst),
    SendToIdentity(Burst),
    Close { code: u16 },
    BeginShutdown,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
pub struct Burst {
    times: u8,
    size: u16,
}

impl Burst {
    pub fn times(self) -> usize {
        usize::from(self.times % 16) + 1
    }

    pub fn size(self) -> usize {
        usize::from(self.size % 768)
    }
}

/// Well-formed envelopes in well-formed frames.
#[derive(Arbitrary, Debug)]
pub struct Message {
    route: Route,
    with_id: bool,
    size: u16,
    times: u8,
    cut: u8,
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Echo,
    Fail,
    Panic,
    Slow,
    Flood,
    FloodAndWait,
    Shout,
    Close,
    UntilClosed,
    Room,
    Unknown,
    Missing,
}

impl Route {
    fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Fail => "fail",
            Self::Panic => "panic",
            Self::Slow => "slow",
            Self::Flood => "flood",
            Self::FloodAndWait => "flood-and-wait",
            Self::Shout => "shout",
            Self::Close => "close",
            Self::UntilClosed => "until-closed",
            Self::Room => "room.\\u0031",
            Self::Unknown => "unknown",
            Self::Missing => "",
        }
    }
}

/// One message in several frames, with a control frame between them.
#[derive(Arbitrary, Debug)]
pub struct Fragments {
    text: String,
    as_echo: bool,
    size: u8,
    ping: bool,
    unfinished: bool,
    cut: u8,
}

/// One frame, most likely lawful.
#[derive(Arbitrary, Debug)]
pub struct Frame {
    opcode: u8,
    odd: u8,
    key: [u8; 4],
    payload: Vec<u8>,
    length: u64,
    cut: u8,
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    PeerCloses,
    PeerHalfCloses,
    PeerResets,
    PeerVanishes,
    ServerCloses,
    Shutdown,
    ShutdownWhileNotReading,
    GatewayDropped,
}

/// What one step puts on the wire.
#[derive(Debug, Default)]
pub struct Bytes {
    pub pieces: Vec<Vec<u8>>,
    /// Whether an id of ours may stand in it by accident.
    pub is_free: bool,
}

impl Bytes {
    fn cut(bytes: &[u8], cut: u8) -> Vec<Vec<u8>> {
        let size = match usize::from(cut) {
            0 => bytes.len(),
            cut => cut.max(bytes.len() / PIECES),
        };
        bytes.chunks(size.max(1)).map(<[u8]>::to_vec).collect()
    }
}

impl Step {
    /// The bytes that the peer sends for it; `id` makes the next id.
    pub fn bytes(&self, mut id: impl FnMut() -> String) -> Bytes {
        let (bytes, cut, is_free) = match self {
            Self::Message(message) => (message.bytes(&mut id), message.cut, false),
            Self::Fragments(fragments) => (fragments.bytes(&mut id), fragments.cut, true),
            Self::Frame(frame) => (frame.bytes(), frame.cut, true),
            Self::Close { code, reason } => (close(*code, reason), 0, false),
            Self::Garbage(bytes) => (bytes.clone(), 0, true),
            Self::Reading(_) | Self::Rest { .. } | Self::Server(_) => return Bytes::default(),
        };
        Bytes {
            pieces: Bytes::cut(&bytes, cut),
            is_free,
        }
    }
}

impl Message {
    fn bytes(&self, mut id: impl FnMut() -> String) -> Vec<u8> {
        let (route, data) = (self.route.name(), "x".repeat(usize::from(self.size % 512)));
        let mut out = Vec::new();
        for _ in 0..=self.times % 24 {
            let id = match self.with_id {
                true => format!(r#""id":"{}","#, id()),
                false => String::new(),
            };
            let envelope = format!(r#"{{{id}"route":"{route}","data":"{data}"}}"#);
            out.extend_from_slice(&masked(frame::Opcode::Text, envelope.as_bytes()));
        }
        out
    }
}

impl Fragments {
    fn bytes(&self, mut id: impl FnMut() -> String) -> Vec<u8> {
        let text = match self.as_echo {
            true => format!(r#"{{"id":"{}","route":"echo","data":"ä€😀"}}"#, id()),
            false => self.text.clone(),
        };
        let mut out = Vec::new();
        let pieces: Vec<_> = text
            .as_bytes()
            .chunks(usize::from(self.size).max(1))
            .collect();
        for (at, piece) in pieces.iter().enumerate() {
            let fin = at + 1 == pieces.len() && !self.unfinished;
            let opcode = match at {
                0 => frame::Opcode::Text,
                _ => frame::Opcode::Continuation,
            };
            out.extend_from_slice(&frame::client_frame(fin, opcode, piece, [7, 0, 255, 1]));
            if self.ping {
                out.extend_from_slice(&masked(frame::Opcode::Ping, piece));
            }
        }
        out
    }
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let opcodes = [0, 1, 2, 8, 9, 10, 1, 9];
        let mut opcode = opcodes[usize::from(self.opcode) % opcodes.len()];
        let (mut fin, mut rsv, mut masked) = (0x80, 0, 0x80);
        let mut length = self.payload.len() as u64;
        let mut shortest = true;
        match self.odd {
            0 => rsv = 0x10 << (self.length % 3),
            1 => opcode = self.opcode & 0x0f,
            2 => masked = 0,
            3 => length = self.length,
            4 => shortest = false,
            5 => length = u64::from(self.length as u8),
            6..64 => fin = 0,
            _ => {}
        }
        let mut out = vec![fin | rsv | opcode];
        match length {
            0..126 if shortest => out.push(masked | length as u8),
            126..65_536 if shortest => {
                out.push(masked | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        let key = if masked == 0 { [0; 4] } else { self.key };
        if masked != 0 {
            out.extend_from_slice(&key);
        }
        out.extend(
            self.payload
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        out
    }
}

/// A close frame with any code at all.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    masked(frame::Opcode::Close, &payload[..payload.len().min(125)])
}

/// A proper message with an id.
pub fn request(id: &str) -> Vec<u8> {
    let envelope = format!(r#"{{"id":"{id}","route":"echo","data":[1]}}"#);
    masked(Kind::Text, envelope.as_bytes())
}

pub fn masked(opcode: impl Into<frame::Opcode>, payload: &[u8]) -> Vec<u8> {
    frame::client_frame(true, opcode, payload, [1, 2, 3, 4]).into()
}
