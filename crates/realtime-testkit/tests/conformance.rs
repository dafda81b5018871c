//! The in-process backends and the ready-made parts, held to the suites.

mod broker {
    realtime_testkit::broker_suite!({
        let bus = realtime_core::broker::LocalBroker::new();
        move || bus.clone()
    });
}

mod any_broker {
    realtime_testkit::broker_suite!({
        let bus = realtime_core::broker::LocalBroker::new();
        move || realtime_core::broker::AnyBroker::new(bus.clone())
    });
}

mod presence {
    realtime_testkit::presence_suite!({
        let store = realtime_core::presence::MemoryPresence::new();
        move || store.clone()
    });
}

mod any_presence {
    realtime_testkit::presence_suite!({
        let store = realtime_core::presence::MemoryPresence::new();
        move || realtime_core::presence::AnyPresence::new(store.clone())
    });
}

mod roster {
    // At the same time: many of them wait for the end of a claim.
    realtime_testkit::roster_suite!(memory_keeps_the_promises, (), |_: &()| {
        let store = realtime_core::presence::MemoryPresence::new();
        move || store.clone()
    });
}

mod any_roster {
    realtime_testkit::roster_suite!(an_erased_one_keeps_the_promises, (), |_: &()| {
        let store = realtime_core::presence::MemoryPresence::new();
        move || realtime_core::presence::AnyPresence::new(store.clone())
    });
}

mod history {
    realtime_testkit::history_suite!({
        let store = realtime_core::history::MemoryHistory::new();
        move || store.clone()
    });
}

mod any_history {
    realtime_testkit::history_suite!({
        let store = realtime_core::history::MemoryHistory::new();
        move || realtime_core::history::AnyHistory::new(store.clone())
    });
}

mod revocations {
    realtime_testkit::revocations_suite!({
        let store = realtime_core::revocation::MemoryRevocations::new();
        move || store.clone()
    });
}

mod any_revocations {
    realtime_testkit::revocations_suite!({
        let store = realtime_core::revocation::MemoryRevocations::new();
        move || realtime_core::revocation::AnyRevocations::new(store.clone())
    });
}

mod codec {
    use realtime_codec_json::{Json, JsonCodec};
    use realtime_core::Message;

    fn messages() -> Vec<Message> {
        let data = Json(serde_json::json!({ "text": "\u{1F600} \\ \" \n", "n": [1, null] }));
        let full = Message::new("room.1", data).map(|m| m.with_id("7").with_metadata("k", "v"));
        let empty = Message::new("", ());
        let binary = Message::new("", realtime_core::Payload::binary(&b"\xff\x00"[..]));
        let nothing = Message::new("", realtime_core::Payload::binary(&b""[..]));
        [full, empty, binary, nothing, Ok(Message::default())]
            .into_iter()
            .flatten()
            .collect()
    }

    realtime_testkit::codec_suite!(JsonCodec, messages());

    mod msgpack {
        use realtime_codec_msgpack::MsgPackCodec;
        use realtime_core::{ClientError, Exchange, Message};

        /// Of every kind, on top of those of JSON.
        fn messages() -> Vec<Message> {
            let room = "room:1".try_into().ok();
            let rare = Message::new("rare", realtime_core::Payload::binary(vec![0; 300]))
                .map(|m| m.with_id(u64::MAX).with_offset(u64::MAX))
                .map(|m| room.into_iter().fold(m, Message::with_room));
            let refusal = Exchange::Refusal((-1_i64).into(), ClientError::new("busy", ""));
            let refusal = Message::default().with_id(i64::MIN).with_exchange(refusal);
            let mut messages = super::messages();
            messages.extend(rare);
            messages.push(refusal);
            messages
        }

        realtime_testkit::codec_suite!(MsgPackCodec, messages());
    }
}

/// The envelopes of a codec, as a protocol of its own.
mod dialect {
    use bytes::BytesMut;
    use realtime_core::{
        codec::{Codec, CodecError, Frame, FrameKind},
        dialect::{Actions, Client, Dialect, Event},
    };

    #[derive(Debug)]
    struct Enveloped<C>(C);

    impl<C: Codec + std::fmt::Debug> Dialect for Enveloped<C> {
        fn name(&self) -> &str {
            self.0.name()
        }

        fn read(
            &self,
            frame: Frame,
            _: &Client<'_>,
            actions: &mut Actions,
        ) -> Result<(), CodecError> {
            actions.handle(self.0.decode(frame)?)
        }

        fn write(
            &self,
            event: &Event<'_>,
            out: &mut BytesMut,
        ) -> Result<Option<FrameKind>, CodecError> {
            match event {
                Event::Message(message) | Event::Reply(message) => {
                    self.0.encode(message, out).map(Some)
                }
                Event::Notice(notice) => self.0.encode_notice(notice, out),
                _ => Ok(None),
            }
        }
    }

    /// Dialects that break their promises, and are found out.
    mod broken {
        use bytes::BytesMut;
        use realtime_core::{
            codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind, Notice},
            dialect::{Actions, Client, Dialect, Event},
        };
        use realtime_testkit::conformance::dialect as suite;

        #[derive(Debug, PartialEq)]
        enum Broken {
            HasNoReply,
            HasNoError,
            ClearsWhereItFails,
        }

        impl Dialect for Broken {
            fn name(&self) -> &str {
                "broken"
            }

            fn read(
                &self,
                frame: Frame,
                _: &Client<'_>,
                actions: &mut Actions,
            ) -> Result<(), CodecError> {
                actions.handle(realtime_codec_json::JsonCodec.decode(frame)?)
            }

            fn write(
                &self,
                event: &Event<'_>,
                out: &mut BytesMut,
            ) -> Result<Option<FrameKind>, CodecError> {
                let codec = realtime_codec_json::JsonCodec;
                match event {
                    Event::Message(message) if *self == Self::ClearsWhereItFails => {
                        codec.encode(message, out)?;
                        out.clear();
                        Err(CodecError::new(CodecErrorKind::Encode, "no room"))
                    }
                    Event::Reply(message) if *self != Self::HasNoReply => {
                        codec.encode(message, out).map(Some)
                    }
                    Event::Notice(Notice::Error { .. }) if *self == Self::HasNoError => Ok(None),
                    Event::Notice(notice) => codec.encode_notice(notice, out),
                    _ => Ok(None),
                }
            }
        }

        fn frames() -> [Frame; 1] {
            [Frame::Text(r#"{"id":1,"route":"echo"}"#.into())]
        }

        #[tokio::test]
        #[should_panic(expected = "a reply to")]
        async fn one_without_replies() {
            suite::what_was_asked_has_an_answer_and_an_error((&Broken::HasNoReply, &frames()))
                .await;
        }

        #[tokio::test]
        #[should_panic(expected = "an error to")]
        async fn one_without_errors() {
            suite::what_was_asked_has_an_answer_and_an_error((&Broken::HasNoError, &frames()))
                .await;
        }

        #[tokio::test]
        #[should_panic(expected = "Message")]
        async fn one_that_loses_what_was_there_before() {
            let broken = Broken::ClearsWhereItFails;
            suite::an_event_is_only_appended((&broken, &frames())).await;
        }
    }

    mod json {
        use realtime_core::codec::Frame;

        fn frames() -> Vec<Frame> {
            let join = r#"{"id":8,"route":"join","data":{"room":"a"}}"#;
            let echo = r#"{"id":"7","route":"echo","data":[1,null],"metadata":{"k":"v"}}"#;
            let other = r#"{"id":"9","route":"echo","data":"/w==","encoding":"base64"}"#;
            let frames = ["{}", join, echo, other, r#"{"reply":"1","data":true}"#];
            frames.map(|frame| Frame::Text(frame.into())).to_vec()
        }

        realtime_testkit::dialect_suite!(
            super::Enveloped(realtime_codec_json::JsonCodec),
            frames()
        );
    }

    mod msgpack {
        use realtime_core::codec::Frame;

        fn frames() -> Vec<Frame> {
            let frames: [&[u8]; 3] = [
                b"\x80",
                b"\x83\xa2id\x01\xa5route\xa4echo\xa4data\xc4\x02\xff\x00",
                b"\x82\xa2id\xa17\xa5route\xa4echo",
            ];
            frames.map(|frame| Frame::Binary(frame.into())).to_vec()
        }

        realtime_testkit::dialect_suite!(
            super::Enveloped(realtime_codec_msgpack::MsgPackCodec),
            frames()
        );
    }
}

mod auth {
    use http::{Request, request::Parts};

    fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
            .body(())
            .map(|r| r.into_parts().0)
            .unwrap_or_else(|_| Request::new(()).into_parts().0)
    }

    mod anonymous {
        use super::request;

        realtime_testkit::auth_suite!(
            realtime_core::auth::Anonymous,
            [
                request("/ws", &[]),
                request("/ws?token=anything", &[("cookie", "a=b")])
            ],
            []
        );
    }

    mod static_token {
        use super::request;
        use realtime_core::{
            Identity,
            auth::{AuthError, StaticToken},
        };

        fn token() -> Result<StaticToken, AuthError> {
            let token = StaticToken::new("correct-horse", Identity::new("ann"))?;
            Ok(token.from_query("token").from_cookie("session"))
        }

        realtime_testkit::auth_suite!(
            token().unwrap(),
            [
                request("/ws", &[("authorization", "Bearer correct-horse")]),
                request("/ws?token=correct-horse", &[]),
                request("/ws", &[("cookie", "x=y; session=correct-horse")])
            ],
            [
                request("/ws", &[]),
                request("/ws", &[("authorization", "Bearer wrong-horse-battery")]),
                request("/ws", &[("authorization", "Basic correct-horse")]),
                request("/ws?token=Correct-horse", &[]),
                request("/ws?token=correct-hors", &[])
            ]
        );
    }

    mod from_extension {
        use super::{Parts, request};
        use realtime_core::{Identity, auth::FromExtension};

        fn logged_in() -> Parts {
            let mut request = request("/ws", &[]);
            request.extensions.insert(Identity::new("ann"));
            request
        }

        realtime_testkit::auth_suite!(FromExtension, [logged_in()], [request("/ws", &[])]);
    }
}
