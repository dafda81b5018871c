//! Envelopes in JSON, several in a frame, as a dialect reads them: what is wrong is malformed and
//! spoils no other, there are no more than there may be, each is what the codec reads of its line, and
//! what is written is one line and is read as the same.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use realtime::{
    Message,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind, JsonCodec},
    dialect::{Action, Actions, Client, Dialect, Event},
    message::Text,
};

/// An envelope a line; an empty one is a ping.
#[derive(Debug)]
struct Lines;

impl Dialect for Lines {
    fn name(&self) -> &str {
        "lines"
    }

    fn read(&self, frame: Frame, _: &Client<'_>, to: &mut Actions) -> Result<(), CodecError> {
        let Frame::Text(text) = frame else {
            let kind = CodecErrorKind::UnsupportedFrame;
            return Err(CodecError::new(kind, "lines are text"));
        };
        for line in text.split('\n') {
            if line.is_empty() {
                to.answer(FrameKind::Text, "\n")?;
                continue;
            }
            match JsonCodec.decode(Frame::Text(text.slice_ref(line))) {
                Ok(message) => to.handle(message)?,
                Err(error) => to.malformed(error)?,
            }
        }
        Ok(())
    }

    fn write(&self, event: &Event<'_>, out: &mut BytesMut) -> Result<Option<FrameKind>, CodecError> {
        match event {
            Event::Message(message) | Event::Reply(message) => {
                JsonCodec.encode(message, out).map(Some)
            }
            Event::Notice(notice) => JsonCodec.encode_notice(notice, out),
            _ => Ok(None),
        }
    }
}

/// What was read is written as one line behind what was there, and read as the same.
fn comes_back(message: &Message) {
    for event in [Event::Message(message), Event::Reply(message)] {
        let mut out = BytesMut::from("before\n");
        let kind = Lines.write(&event, &mut out);
        assert_eq!(kind.expect("what was read can be written"), Some(FrameKind::Text));
        assert_eq!(out.split_to(7), "before\n");
        let line = Text::try_from(out.freeze()).expect("text frames are UTF-8");
        assert!(!line.contains('\n'), "it is one line: {line}");
        let mut actions = Actions::new();
        Lines
            .read(Frame::Text(line), &Client::default(), &mut actions)
            .expect("what was written can be read");
        let again = actions.into_iter().next();
        assert!(matches!(again, Some(Action::Handle(again)) if again == *message));
    }
}

fuzz_target!(|text: String| {
    let mut actions = Actions::new();
    let read = Lines.read(Frame::Text(text.clone().into()), &Client::default(), &mut actions);
    let count = actions.len();
    assert!(count <= Actions::MAX);
    let lines: Vec<&str> = text.split('\n').collect();
    match read {
        // Each line is one of them.
        Ok(()) => assert_eq!(count, lines.len()),
        Err(error) => {
            assert_eq!(error.kind(), CodecErrorKind::Malformed);
            assert!(count == Actions::MAX && lines.len() > count, "it is too much: {count}");
        }
    }
    for (line, action) in lines.into_iter().zip(actions) {
        let alone = JsonCodec.decode(Frame::Text(line.to_owned().into()));
        match action {
            Action::Handle(message) => {
                assert_eq!(alone.expect("the codec reads it, too"), message);
                comes_back(&message);
            }
            Action::Malformed(error) => {
                assert_eq!(error.kind(), CodecErrorKind::Malformed);
                assert!(alone.is_err(), "the codec reads it: {line}");
            }
            _ => assert!(line.is_empty(), "{line}"),
        }
    }
});
