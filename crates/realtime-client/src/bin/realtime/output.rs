//! The standard output: an envelope a line.

use std::io::{self, Write};

use bytes::BytesMut;
use realtime_client::{Codec, Message};
use realtime_codec_json::JsonCodec;

use crate::failure::Failure;

pub(crate) fn print(message: &Message) -> Result<(), Failure> {
    let mut line = BytesMut::new();
    let encoded = JsonCodec.encode(message, &mut line);
    encoded.map_err(|e| format!("a message has no form as JSON: {e}"))?;
    line.extend_from_slice(b"\n");
    write(&line)
}

pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}
