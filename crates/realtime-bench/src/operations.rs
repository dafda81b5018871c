//! Single steps of the hot path, for benchmarks and for counting their instructions.

use std::hint::black_box;

use bytes::BytesMut;
use realtime::{
    BoxError, IdentityKey,
    broker::envelope::{Envelope, Target},
    codec::{Codec, Frame, FrameKind, JsonCodec, MsgPackCodec},
    message::Text,
};
use realtime_websocket::{Decoder, Kind, Limits, Role, frame};

use crate::pipe::Burst;
#[cfg(feature = "traces")]
use crate::traced;

/// A step that is repeated, with everything that it needs.
pub struct Operation(Box<dyn FnMut()>);

impl Operation {
    /// Does it once.
    pub fn once(&mut self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").finish_non_exhaustive()
    }
}

/// The names of all operations.
pub const NAMES: &[&str] = &[
    "json-decode",
    "json-encode",
    "msgpack-decode",
    "msgpack-encode",
    "frame-decode",
    "frame-encode",
    "frame-mask",
    "broker-decode",
    "broker-encode",
    "session-request",
    "session-request-object",
    "session-request-limited",
    "session-request-ending",
    "session-echo",
    #[cfg(feature = "traces")]
    "session-request-untraced",
    #[cfg(feature = "traces")]
    "session-request-traced-1%",
    #[cfg(feature = "traces")]
    "session-request-traced",
];

/// Data as applications send it, where the others are one string: 128 bytes.
const OBJECT: &str = r#"{"user":"ada","room":"general","text":"Good morning everybody. Is the build green?","at":1764223456123,"edited":false,"tags":[]}"#;

/// The operation of this name on messages of so many bytes, if there is one.
///
/// ```
/// use realtime_bench::operations;
///
/// for name in operations::NAMES {
///     operations::prepare(name, 128).unwrap().once();
/// }
/// ```
#[must_use]
pub fn prepare(name: &str, size: usize) -> Option<Operation> {
    const KEY: [u8; 4] = [1, 2, 3, 4];
    let data = "x".repeat(size);
    let text = Text::from(format!(r#"{{"route":"broadcast","data":"{data}"}}"#));
    let message = JsonCodec.decode(Frame::Text(text.clone())).ok()?;
    let identity = Target::Identity(IdentityKey::new("ada").with_tenant("acme"));
    let envelope = Envelope::new(
        identity,
        "realtime.json",
        FrameKind::Text,
        text.clone().into(),
    );
    Some(Operation(match name {
        "json-decode" => Box::new(move || {
            let _ = black_box(JsonCodec.decode(Frame::Text(black_box(&text).clone())));
        }),
        "json-encode" => Box::new(move || {
            let mut out = BytesMut::new();
            let _ = JsonCodec.encode(black_box(&message), &mut out);
            black_box(out);
        }),
        "msgpack-decode" => {
            let mut out = BytesMut::new();
            MsgPackCodec.encode(&message, &mut out).ok()?;
            let sent = out.freeze();
            Box::new(move || {
                let _ = black_box(MsgPackCodec.decode(Frame::Binary(black_box(&sent).clone())));
            })
        }
        "msgpack-encode" => Box::new(move || {
            let mut out = BytesMut::new();
            let _ = MsgPackCodec.encode(black_box(&message), &mut out);
            black_box(out);
        }),
        "frame-decode" => {
            let sent = frame::client_frame(true, Kind::Text, text.as_bytes(), KEY);
            let mut decoder = Decoder::new(Role::Server, Limits::default());
            Box::new(move || {
                let _ = black_box(decoder.decode(&mut &black_box(&sent)[..]));
            })
        }
        "frame-encode" => Box::new(move || {
            black_box(frame::server_frame(Kind::Text, black_box(&text).as_bytes()));
        }),
        "frame-mask" => Box::new(move || {
            black_box(frame::client_frame(
                true,
                Kind::Text,
                black_box(&text).as_bytes(),
                KEY,
            ));
        }),
        "broker-decode" => {
            let sent = envelope.encode();
            Box::new(move || {
                let _ = black_box(Envelope::decode(black_box(&sent).clone()));
            })
        }
        "broker-encode" => Box::new(move || {
            black_box(black_box(&envelope).encode());
        }),
        // One of sixteen that come together: from the bytes of the request to those of the answer.
        "session-request" => together(Burst::new, &data)?,
        // The same with data that has fields, of about as many bytes.
        "session-request-object" => together(Burst::new, OBJECT)?,
        // The same with a limit on messages and bytes.
        "session-request-limited" => together(Burst::limited, &data)?,
        // The same of one whose identity ends.
        "session-request-ending" => together(Burst::ending, &data)?,
        // Without an id and a limit: sent back, not answered.
        "session-echo" => together(Burst::sent_back, &data)?,
        // The same with a tracer: for none of them, for one in a hundred, and for each.
        #[cfg(feature = "traces")]
        "session-request-untraced" => together(traced::none, &data)?,
        #[cfg(feature = "traces")]
        "session-request-traced-1%" => together(traced::one_in_a_hundred, &data)?,
        #[cfg(feature = "traces")]
        "session-request-traced" => together(traced::each, &data)?,
        _ => return None,
    }))
}

fn together(
    burst: fn(usize, &str) -> Result<Burst, BoxError>,
    data: &str,
) -> Option<Box<dyn FnMut()>> {
    const TOGETHER: usize = 16;
    let mut burst = burst(TOGETHER, &format!("{data:?}")).ok()?;
    let mut turn = 0;
    Some(Box::new(move || {
        if turn % TOGETHER == 0 {
            let _ = black_box(burst.once());
        }
        turn += 1;
    }))
}
