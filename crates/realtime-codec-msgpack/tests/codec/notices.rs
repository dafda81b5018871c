//! What the gateway says itself: the same as in JSON, but for its encoding.

use std::time::Duration;

use realtime_core::{
    MessageId,
    codec::{Notice, Recovered},
    history::Position,
};

use super::*;

fn notice(notice: &Notice<'_>) -> Value {
    let mut out = BytesMut::new();
    let kind = MsgPackCodec.encode_notice(notice, &mut out).unwrap();
    assert_eq!(kind, Some(FrameKind::Binary));
    unpacked(&out)
}

#[test]
fn what_the_gateway_says_itself_has_these_forms() {
    let (id, number) = (MessageId::from("7"), MessageId::from(7));
    let error = &ClientError::new("full", "no \"room\" is left").temporary();
    let data = map! { "code" => "full", "message" => "no \"room\" is left", "temporary" => true };
    assert_eq!(
        notice(&Notice::Error {
            id: Some(&id),
            error
        }),
        map! { "id" => "7", "route" => "error", "data" => data.clone() }
    );
    assert_eq!(
        notice(&Notice::Error { id: None, error }),
        map! { "route" => "error", "data" => data }
    );
    let error = &ClientError::new("full", "").with_retry_after(Duration::from_micros(1_500_001));
    let data =
        map! { "code" => "full", "message" => "", "temporary" => true, "retry_after" => 1.501 };
    assert_eq!(
        notice(&Notice::Error {
            id: Some(&number),
            error
        }),
        map! { "id" => 7, "route" => "error", "data" => data }
    );
    let data = Payload::from(r#"{"field":"name"}"#);
    let error = &ClientError::new("x", "").with_data(data);
    let told = notice(&Notice::Error { id: None, error });
    assert_eq!(told["data"]["data"], map! { "field" => "name" });
    let within = Duration::from_millis(2_999);
    assert_eq!(
        notice(&Notice::Expiring { within }),
        map! { "route" => "expiring", "data" => map! { "seconds" => 2 } }
    );
    let room = &"a\"b".parse().unwrap();
    assert_eq!(
        notice(&Notice::Removed { room }),
        map! { "route" => "removed", "data" => map! { "room" => "a\"b" } }
    );
    let rooms = &[
        ("a".parse().unwrap(), position(7)),
        ("b".parse().unwrap(), position(0)),
    ];
    assert_eq!(
        notice(&Notice::Gap {
            missed: 3,
            rooms: &[]
        }),
        map! { "route" => "gap", "data" => map! { "missed" => 3 } }
    );
    let of_rooms = map! {
        "a" => map! { "epoch" => "e1", "offset" => 7 },
        "b" => map! { "epoch" => "e1", "offset" => 0 },
    };
    assert_eq!(
        notice(&Notice::Gap { missed: 3, rooms }),
        map! { "route" => "gap", "data" => map! { "missed" => 3, "rooms" => of_rooms } }
    );
    let message = &Message::new("confirm", Payload::binary(vec![1])).unwrap();
    assert_eq!(
        notice(&Notice::Request { id: &id, message }),
        map! { "route" => "confirm", "request" => "7", "data" => Value::Binary(vec![1]) }
    );
}

fn position(offset: u64) -> Position {
    Position::new("e1".parse().unwrap(), offset)
}

fn joined(recovery: Option<Recovered<'_>>) -> Value {
    let (id, route) = (&7.into(), &"recover".into());
    let position = &position(2);
    let joined = notice(&Notice::Joined {
        id,
        route,
        position: Some(position),
        recovery,
    });
    assert_eq!(
        (&joined["id"], &joined["route"]),
        (&7.into(), &"recover".into())
    );
    joined["data"].clone()
}

#[test]
fn what_was_missed_comes_as_envelopes() {
    let at = map! { "epoch" => "e1", "offset" => 2 };
    assert_eq!(joined(None), map! { "position" => at.clone() });
    let lost = map! {
        "recovered" => false, "position" => at.clone(), "missed" => Value::Array(vec![]),
    };
    assert_eq!(joined(Some(Recovered::Lost)), lost);
    let bytes = of(Payload::binary(vec![0xff])).with_offset(1);
    let missed = [bytes.clone(), of(Payload::from("[1]")).with_offset(2)];
    let all = map! {
        "recovered" => true, "position" => at,
        "missed" => Value::Array(vec![
            map! { "route" => "r", "offset" => 1, "data" => Value::Binary(vec![0xff]) },
            map! { "route" => "r", "offset" => 2, "data" => Value::Array(vec![1.into()]) },
        ]),
    };
    assert_eq!(joined(Some(Recovered::Complete(&missed))), all);
    // What has no form here can't be had, the next time neither: the client goes on without it.
    let deep = Payload::from(format!("{}{}", "[".repeat(129), "]".repeat(129)));
    assert_eq!(joined(Some(Recovered::Complete(&[bytes, of(deep)]))), lost);
}
