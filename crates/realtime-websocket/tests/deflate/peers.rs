//! Both sides of a connection, with and without takeover.

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params,
};
use realtime_websocket::{
    Event, Kind, Limits, Role, Violation,
    deflate::{Agreed, InflatingDecoder, Policy, SpareInflater},
    frame,
};

pub(crate) const KEY: [u8; 4] = [1, 2, 3, 4];
/// Text, compressed, whole.
pub(crate) const TEXT: u8 = 0x41;
pub(crate) const BINARY: u8 = 0x42;

/// What both sides agree on, the server's view and the client's.
pub(crate) fn agree(server: Policy, client: Policy) -> (Agreed, Agreed) {
    let answer = server.answer([client.offer().as_bytes()]).unwrap();
    let accepted = client.accept([answer.header().as_bytes()]).unwrap();
    (answer.agreed(), accepted.unwrap())
}

pub(crate) fn takeover() -> Policy {
    Policy::default()
        .with_send_takeover(true)
        .with_receive_takeover(true)
}

pub(crate) fn server_with(policy: Policy, limits: Limits) -> InflatingDecoder {
    InflatingDecoder::new(Role::Server, limits, Some(agree(policy, policy).0))
}

pub(crate) fn server() -> InflatingDecoder {
    server_with(Policy::default(), Limits::default())
}

/// A client's frame, with any bits for its opcode.
pub(crate) fn f(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    frame::fragment(opcode, fin, payload, Some(KEY)).to_vec()
}

/// All events of `pieces`, and how it ended.
pub(crate) fn decode<'b>(
    decoder: &mut InflatingDecoder,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> (Vec<Event>, Option<Violation>) {
    let (mut events, mut spare) = (Vec::new(), SpareInflater::new());
    for mut piece in pieces {
        loop {
            match decoder.decode_with(&mut piece, &mut spare) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
        assert!(piece.is_empty(), "Ok(None) leaves no input");
    }
    (events, None)
}

pub(crate) fn message(kind: Kind, payload: &[u8]) -> Event {
    match kind {
        Kind::Binary => Event::Binary(payload.to_vec().into()),
        Kind::Text => Event::Text(String::from_utf8(payload.to_vec()).unwrap()),
    }
}

/// A compressor of another make, which keeps its window from message to message.
pub(crate) struct Miniz(Box<CompressorOxide>);

impl Miniz {
    pub(crate) fn new(level: i32) -> Self {
        let flags = create_comp_flags_from_zip_params(level, -15, 0);
        Self(Box::new(CompressorOxide::new(flags)))
    }

    /// The payload of a compressed message.
    pub(crate) fn message(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = self.flush(data, TDEFLFlush::Sync);
        assert_eq!(out.split_off(out.len() - 4), [0, 0, 0xff, 0xff]);
        out
    }

    /// The same with a last block at its end.
    pub(crate) fn last(&mut self, data: &[u8]) -> Vec<u8> {
        self.flush(data, TDEFLFlush::Finish)
    }

    fn flush(&mut self, data: &[u8], flush: TDEFLFlush) -> Vec<u8> {
        let mut out = Vec::new();
        compress_to_output(&mut self.0, data, flush, |bytes| {
            out.extend_from_slice(bytes);
            true
        });
        out
    }
}

/// Something that compresses, but not to nothing.
pub(crate) fn json(size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut number = 1_u32;
    while out.len() < size {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (user, at) = (number % 997, number >> 8);
        out.extend(format!(r#"{{"user":"u{user}","at":{at},"text":"of the room"}},"#).bytes());
    }
    out.truncate(size);
    out
}

/// Something that doesn't.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut number = 88_172_645_463_325_252_u64;
    let next = |_| {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        number as u8
    };
    (0..size).map(next).collect()
}
