//! Envelopes in JSON: garbage is refused as malformed; what is read is written and read the same.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use realtime::{
    JsonCodec,
    codec::{Codec, CodecErrorKind, Frame},
};

fuzz_target!(|text: String| {
    let message = match JsonCodec.decode(Frame::text(Bytes::from(text))) {
        Ok(message) => message,
        Err(error) => return assert_eq!(error.kind(), CodecErrorKind::Malformed),
    };
    let mut out = BytesMut::new();
    JsonCodec
        .encode(&message, &mut out)
        .expect("what was read can be written");
    let again = JsonCodec
        .decode(Frame::text(out.freeze()))
        .expect("what was written can be read");
    assert_eq!(again, message);
});
