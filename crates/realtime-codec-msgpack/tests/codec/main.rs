//! The codec beside a parser of another make, and everything that a hostile client may send.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod data;
mod envelope;
mod notices;
mod random;

use bytes::{Bytes, BytesMut};
use realtime_codec_msgpack::MsgPackCodec;
use realtime_core::{
    ClientError, Message, Payload,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind},
};
use rmpv::Value;

/// A map, as the other parser has it.
macro_rules! map {
    ($($name:expr => $value:expr),* $(,)?) => {
        rmpv::Value::Map(vec![$((rmpv::Value::from($name), rmpv::Value::from($value))),*])
    };
}
pub(crate) use map;

/// As the other parser writes it.
fn packed(value: &Value) -> Bytes {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).unwrap();
    out.into()
}

/// As the other parser reads it.
fn unpacked(mut frame: &[u8]) -> Value {
    let value = rmpv::decode::read_value(&mut frame).unwrap();
    assert!(frame.is_empty(), "{frame:?} is left");
    value
}

fn decode(frame: impl Into<Bytes>) -> Result<Message, CodecError> {
    MsgPackCodec.decode(Frame::Binary(frame.into()))
}

fn read(value: &Value) -> Message {
    decode(packed(value)).unwrap()
}

/// Why it is malformed, as the client is told.
fn reason(frame: impl Into<Bytes>) -> String {
    let error = decode(frame).unwrap_err();
    assert_eq!(error.kind(), CodecErrorKind::Malformed);
    let told = ClientError::find_in(&error).unwrap();
    assert_eq!(told.code(), "malformed");
    told.message().to_owned()
}

fn encode(message: &Message) -> Result<Bytes, CodecError> {
    let mut out = BytesMut::from("before");
    let kind = MsgPackCodec.encode(message, &mut out).inspect_err(|e| {
        assert_eq!(e.kind(), CodecErrorKind::Encode);
    })?;
    assert_eq!(kind, FrameKind::Binary);
    assert_eq!(out.split_to(6), "before");
    Ok(out.freeze())
}

fn written(message: &Message) -> Value {
    unpacked(&encode(message).unwrap())
}

fn of(data: Payload) -> Message {
    Message::new("r", data).unwrap()
}
