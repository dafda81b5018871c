//! Envelopes in MessagePack: garbage is refused as malformed; what is read is written and read the
//! same, is what a parser of another make reads, and is no more than six times as large.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use realtime::{
    Message,
    codec::{Codec, CodecErrorKind, Frame, MsgPackCodec},
    message::PayloadKind,
};
use rmpv::ValueRef;

/// Ours is what the other parser reads, as far as it reads: it knows no number of levels that is
/// too high for it, and we may pass over more of them than it can.
fn compare(frame: &[u8], ours: &Message) {
    let mut rest = frame;
    let Ok(theirs) = rmpv::decode::read_value_ref(&mut rest) else {
        return;
    };
    assert!(rest.is_empty(), "there is more behind the envelope");
    let ValueRef::Map(fields) = &theirs else {
        panic!("read as an envelope: {theirs}");
    };
    let field = |name: &str| {
        let mut fields = fields.iter();
        fields.find_map(|(key, value)| (key == &ValueRef::from(name)).then_some(value))
    };
    match field("route") {
        None => assert!(ours.route().is_empty()),
        Some(route) => assert_eq!(route, &ValueRef::from(ours.route())),
    }
    match field("data") {
        None => assert!(ours.data().is_empty()),
        Some(ValueRef::Binary(bytes)) => {
            assert!(ours.data().is_binary());
            assert_eq!(ours.data().as_bytes(), *bytes);
        }
        Some(_) => assert_eq!(ours.data().kind(), PayloadKind::Json),
    }
}

fuzz_target!(|frame: &[u8]| {
    let frame = Bytes::copy_from_slice(frame);
    let message = match MsgPackCodec.decode(Frame::Binary(frame.clone())) {
        Ok(message) => message,
        Err(error) => return assert_eq!(error.kind(), CodecErrorKind::Malformed),
    };
    compare(&frame, &message);
    assert!(
        message.data().len() <= 6 * frame.len(),
        "{}",
        message.data().len()
    );
    if message.data().kind() == PayloadKind::Json {
        // It is JSON, and not only said to be.
        let json = realtime::Payload::from(
            String::from_utf8(message.data().as_bytes().to_vec()).expect("UTF-8"),
        );
        json.check_json().expect("JSON");
    }
    let mut out = BytesMut::new();
    MsgPackCodec
        .encode(&message, &mut out)
        .expect("what was read can be written");
    let again = MsgPackCodec
        .decode(Frame::Binary(out.freeze()))
        .expect("what was written can be read");
    assert_eq!(again, message);
});
