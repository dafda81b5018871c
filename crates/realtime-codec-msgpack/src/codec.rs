//! The envelope as a map in a binary frame.

use bytes::BytesMut;
use realtime_core::{
    ClientError, Exchange, Message, MessageId, Payload,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind, Notice},
};

use crate::{
    envelope::{self, Malformed},
    from_json,
    notice::{put_failure, put_notice},
    write::{put_binary, put_float, put_map, put_signed, put_text, put_unsigned},
};

/// Envelopes as MessagePack maps, in binary frames. Its name, and subprotocol, is
/// `realtime.msgpack`.
///
/// It has the fields, the bounds and the strictness of the JSON codec: a field that comes twice, a
/// route that is not a string, an id that is neither a string nor a whole number, either of them over
/// 256 bytes, and more than 64 entries of metadata are refused. An id or metadata that is nil is as
/// if it were left out, and so is what only a server says (`room`, `offset`, `request`) where it is
/// nothing of the kind. Fields that it doesn't know are ignored, so that later versions may add some.
/// What it would refuse to read it doesn't write.
///
/// What JavaScript writes is taken as it is meant: a whole number may be a floating-point number (to
/// many encoders, one of more than 32 bits is), and goes back as one; and the extension of type 0
/// with one byte, a zero, is `undefined`, and read as nil.
///
/// `data` that is `bin` is [binary](Payload::binary), and shares the frame's buffer; any other
/// becomes JSON, and JSON becomes MessagePack again: [the crate](crate) says how. So data that was
/// written as JSON by hand comes back without its spaces, and with numbers and strings in the form
/// that `serde_json` gives them.
///
/// ```
/// use bytes::BytesMut;
/// use realtime::{
///     Json, Message, Payload,
///     codec::{Codec, CodecError, FrameKind, MsgPackCodec},
/// };
///
/// let mut out = BytesMut::new();
/// let message = Message::new("image", Payload::binary(&b"\xff\x00"[..]))?.with_id(7);
/// assert_eq!(MsgPackCodec.encode(&message, &mut out)?, FrameKind::Binary);
/// assert_eq!(&out[..], b"\x83\xa2id\x07\xa5route\xa5image\xa4data\xc4\x02\xff\x00");
///
/// out.clear();
/// MsgPackCodec.encode(&Message::new("chat", Json(&["hello"]))?, &mut out)?;
/// assert_eq!(&out[..], b"\x82\xa5route\xa4chat\xa4data\x91\xa5hello");
/// # Ok::<(), CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MsgPackCodec;

impl Codec for MsgPackCodec {
    fn name(&self) -> &str {
        "realtime.msgpack"
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        put_message(out, message)?;
        Ok(FrameKind::Binary)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        let Frame::Binary(frame) = frame else {
            let got = "expected a binary frame with a MessagePack map; got a text frame";
            return Err(CodecError::new(CodecErrorKind::UnsupportedFrame, got));
        };
        envelope::read(&frame).map_err(malformed)
    }

    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        let has_form = put_notice(out, notice)?;
        Ok(has_form.then_some(FrameKind::Binary))
    }
}

/// The whole envelope.
pub(crate) fn put_message(out: &mut BytesMut, message: &Message) -> Result<(), CodecError> {
    // What is sent is held to what is accepted.
    message.check_bounds(CodecErrorKind::Encode)?;
    out.reserve(message.data().len() + message.route().len() + 48);
    let rare = if message.is_plain() {
        0
    } else {
        rare_fields(message)
    };
    let has_data = has_form(message.data());
    put_head(
        out,
        message.message_id(),
        message.route(),
        rare + usize::from(has_data),
    )?;
    if rare > 0 {
        put_rare(out, message)?;
    }
    if has_data {
        put_text(out, "data")?;
        put_data(out, message.data())?;
    }
    Ok(())
}

/// The header of an envelope, its id and its route. So many fields follow.
pub(crate) fn put_head(
    out: &mut BytesMut,
    id: Option<&MessageId>,
    route: &str,
    more: usize,
) -> Result<(), CodecError> {
    let fields = usize::from(id.is_some()) + usize::from(!route.is_empty()) + more;
    put_map(out, fields)?;
    if let Some(id) = id {
        put_text(out, "id")?;
        put_id(out, id)?;
    }
    if !route.is_empty() {
        put_text(out, "route")?;
        put_text(out, route)?;
    }
    Ok(())
}

/// Binary data of no bytes is data, and text of none isn't.
fn has_form(data: &Payload) -> bool {
    data.is_binary() || !data.is_empty()
}

fn put_data(out: &mut BytesMut, data: &Payload) -> Result<(), CodecError> {
    if data.is_binary() {
        return put_binary(out, data.as_bytes());
    }
    data.check_json()?;
    from_json::put(out, data.as_bytes())
}

/// How many fields there are of what few messages have.
#[cold]
fn rare_fields(message: &Message) -> usize {
    let of_exchange = match message.exchange() {
        None => 0,
        Some(Exchange::Refusal(..)) => 2,
        Some(_) => 1,
    };
    usize::from(message.room().is_some())
        + usize::from(message.offset().is_some())
        + usize::from(message.metadata().is_some())
        + of_exchange
}

#[cold]
fn put_rare(out: &mut BytesMut, message: &Message) -> Result<(), CodecError> {
    if let Some(room) = message.room() {
        put_text(out, "room")?;
        put_text(out, room.as_str())?;
    }
    if let Some(offset) = message.offset() {
        put_text(out, "offset")?;
        put_unsigned(out, offset)?;
    }
    if let Some(exchange) = message.exchange() {
        put_exchange(out, exchange)?;
    }
    if let Some(metadata) = message.metadata() {
        put_text(out, "metadata")?;
        put_map(out, metadata.len())?;
        for (name, value) in metadata {
            put_text(out, name)?;
            put_text(out, value)?;
        }
    }
    Ok(())
}

/// What it is in an exchange that the server has begun.
fn put_exchange(out: &mut BytesMut, exchange: &Exchange) -> Result<(), CodecError> {
    let (field, id, refusal) = match exchange {
        Exchange::Request(id) => ("request", id, None),
        Exchange::Reply(id) => ("reply", id, None),
        Exchange::Refusal(id, error) => ("reply", id, Some(error)),
        _ => {
            let context = "the message has no form as MessagePack: it is part of an exchange of a \
                           sort that this version doesn't know";
            return Err(CodecError::new(CodecErrorKind::Encode, context));
        }
    };
    put_text(out, field)?;
    put_id(out, id)?;
    if let Some(error) = refusal {
        put_text(out, "error")?;
        put_failure(out, error)?;
    }
    Ok(())
}

/// An id in the form in which it came: an integer or a string.
fn put_id(out: &mut BytesMut, id: &MessageId) -> Result<(), CodecError> {
    let text = id.as_str();
    if !id.is_number() {
        return put_text(out, text);
    }
    match (text.parse::<u64>(), text.parse::<i64>()) {
        (Ok(number), _) => return put_unsigned(out, number),
        (_, Ok(number)) if number != 0 => return put_signed(out, number),
        _ => {}
    }
    // As it is read of clients that write it as a floating-point number.
    match whole(text) {
        Some(number) => put_float(out, number),
        None => {
            let context = "expected an id that is a string, an integer of 64 bits or a whole \
                           floating-point number; got another number";
            Err(CodecError::new(CodecErrorKind::Encode, context))
        }
    }
}

/// Behind its point nothing but a zero.
fn whole(text: &str) -> Option<f64> {
    let digits = text.strip_suffix(".0")?;
    let is_whole = digits.parse::<i64>().is_ok();
    is_whole.then(|| text.parse().ok()).flatten()
}

/// The reason is the client's to know. It holds nothing of the client's data.
#[cold]
fn malformed(Malformed { reason, id }: Malformed) -> CodecError {
    let error = CodecError::new(
        CodecErrorKind::Malformed,
        "the message is not a valid envelope",
    )
    .with_source(ClientError::new("malformed", reason));
    match id {
        Some(id) => error.with_request(id),
        None => error,
    }
}
