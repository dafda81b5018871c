//! What is spoken in these tests: JSON that shouts, and a protocol of lines.

use bytes::{BufMut, BytesMut};
use realtime::{
    ClientError, CloseCode, Message, Payload,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind, JsonCodec, Notice},
    dialect::{Actions, Client, Dialect, Event, Heartbeat},
    message::{MessageId, Text},
};

/// The envelopes of JSON behind an exclamation mark.
#[derive(Debug)]
pub(crate) struct Loud;

impl Codec for Loud {
    fn name(&self) -> &str {
        "loud"
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        out.put_u8(b'!');
        JsonCodec.encode(message, out)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        match frame {
            Frame::Text(text) if text.starts_with('!') => {
                JsonCodec.decode(Frame::Text(text.slice_ref(&text[1..])))
            }
            _ => Err(malformed("expected an exclamation mark")),
        }
    }

    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        out.put_u8(b'!');
        JsonCodec.encode_notice(notice, out)
    }
}

/// Each line is `ID ROUTE DATA`, with `-` for no id; `join`, `recover` and `publish` have a form of
/// their own. `?` is a ping, and `panic` panics.
#[derive(Debug, Default)]
pub(crate) struct Slang {
    /// Whether it asks with lines of its own whether its clients are there.
    pub(crate) pings: bool,
}

impl Dialect for Slang {
    fn name(&self) -> &str {
        "slang"
    }

    fn heartbeat(&self) -> Heartbeat {
        match self.pings {
            true => Heartbeat::Messages,
            false => Heartbeat::WebSocket,
        }
    }

    fn close_code(&self, code: CloseCode) -> CloseCode {
        match code {
            CloseCode::GOING_AWAY => CloseCode::new(4200).unwrap(),
            other => other,
        }
    }

    fn read(
        &self,
        frame: Frame,
        client: &Client<'_>,
        actions: &mut Actions,
    ) -> Result<(), CodecError> {
        let Frame::Text(text) = frame else {
            let kind = CodecErrorKind::UnsupportedFrame;
            return Err(CodecError::new(kind, "slang is text"));
        };
        for line in text.lines() {
            assert_ne!(line, "panic");
            if line == "?" {
                let known = if client.session.is_some() {
                    "you"
                } else {
                    "somebody"
                };
                actions.answer(FrameKind::Text, format!("yes {known}"))?;
                continue;
            }
            match message(line) {
                Some(message) => actions.handle(message)?,
                None => actions.malformed(malformed("expected ID ROUTE DATA"))?,
            }
        }
        Ok(())
    }

    fn write(
        &self,
        event: &Event<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        let line = match event {
            Event::Opened(opening) => {
                let request = opening.request.map_or("-", |id| id.as_str());
                format!("welcome {} {request}", opening.identity.id())
            }
            Event::Message(message) => {
                let said = data(message);
                assert_ne!(said, "\"unspeakable\"");
                if said == "\"unwritable\"" {
                    return Err(CodecError::new(CodecErrorKind::Encode, "unwritable"));
                }
                let room = message.room().map_or("-", |room| room.as_str());
                let offset = message.offset().map_or(String::new(), |n| format!("#{n}"));
                format!("{room}{offset} {} {}", message.route(), data(message))
            }
            Event::Reply(message) => {
                format!("{} ok {}", message.id().unwrap_or_default(), data(message))
            }
            Event::Entered(room, position) => {
                let offset = position.map_or(0, |position| position.offset);
                format!("you are in {} at {offset}", room.as_str())
            }
            Event::Ping => "are you there".to_owned(),
            Event::Closing(closing) if closing.retry_after.is_some() => {
                format!("bye {} {}, come back", closing.code, closing.reason)
            }
            Event::Closing(closing) => {
                assert_ne!(closing.reason, "unspeakable");
                return Ok(None);
            }
            Event::Notice(notice) => match notice {
                Notice::Error { id, error } => {
                    let id = id.map_or("-", |id| id.as_str());
                    format!("{id} sorry {}", error.code())
                }
                Notice::Joined {
                    id,
                    position,
                    recovery,
                    ..
                } => {
                    let at = position.map_or(0, |position| position.offset);
                    let missed = match recovery {
                        Some(realtime::codec::Recovered::Complete(missed)) => {
                            if missed.iter().map(data).any(|said| said == "\"unwritable\"") {
                                return Err(CodecError::new(CodecErrorKind::Encode, "unwritable"));
                            }
                            let missed = missed.iter().map(data);
                            format!(" missed {}", missed.collect::<Vec<_>>().join(","))
                        }
                        Some(_) => " lost".to_owned(),
                        None => String::new(),
                    };
                    let epoch = position.map_or(String::new(), |p| format!(" {}", p.epoch));
                    format!("{} in at {at}{epoch}{missed}", id.as_str())
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        out.put_slice(line.as_bytes());
        Ok(Some(FrameKind::Text))
    }
}

fn data(message: &Message) -> String {
    String::from_utf8_lossy(message.data().as_bytes()).into_owned()
}

fn message(line: &str) -> Option<Message> {
    let mut words = line.splitn(3, ' ');
    let (id, route, rest) = (words.next()?, words.next()?, words.next().unwrap_or("null"));
    let id = (id != "-").then(|| MessageId::from(id));
    let data = match route {
        "authenticate" => Payload::json(&serde_json::json!({"token": rest})),
        "join" | "leave" => Payload::json(&serde_json::json!({"room": rest})),
        "recover" => {
            let mut parts = rest.split(' ');
            let (room, epoch) = (parts.next()?, parts.next()?);
            let offset: u64 = parts.next()?.parse().ok()?;
            Payload::json(&serde_json::json!({"room": room, "epoch": epoch, "offset": offset}))
        }
        "publish" => {
            let (room, text) = rest.split_once(' ')?;
            Payload::json(&serde_json::json!({"room": room, "data": text}))
        }
        _ => Payload::from(rest.to_owned()).into_json(),
    };
    Some(Message::plain(id, Text::from(route.to_owned()), data.ok()?))
}

fn malformed(what: &'static str) -> CodecError {
    let error = CodecError::new(CodecErrorKind::Malformed, what);
    error.with_source(ClientError::new("malformed", what))
}

/// It keeps the promises of every dialect, with pings of its own and without.
mod promises {
    use realtime::codec::Frame;

    fn frames() -> Vec<Frame> {
        let frames = [
            "1 echo {\"a\":[1,null]}",
            "2 echo",
            "- echo 1",
            "3 join open:a",
            "4 join kept:b",
            "5 recover kept:a 3f9a0c5d11ab27e4 7",
            "6 publish open:a hello",
            "7 leave open:a",
            "8 authenticate token",
            "9 echo 1\n10 echo 2\n?\n11 join open:b",
            "?",
            "",
        ];
        frames.map(|frame| Frame::Text(frame.into())).to_vec()
    }

    realtime_testkit::dialect_suite!(super::Slang::default(), frames());

    mod with_pings {
        realtime_testkit::dialect_suite!(super::super::Slang { pings: true }, super::frames());
    }
}
