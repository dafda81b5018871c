//! What is asked for over HTTP: it only reads.

use http::{Response, StatusCode};
use realtime_gateway::{Body, Gateway, RoomQuery, SessionQuery};

use crate::page;

/// What was wrong with a query.
const WRONG: &str = "expected `containing`, a `limit` that is a number, and an `after` that was the `next` \
                     of an earlier page; got something else";

pub(crate) async fn sessions(gateway: &Gateway, query: &str) -> Response<Body> {
    let mut asked = SessionQuery::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "containing" => asked.containing = value.into_owned(),
            "after" => match value.parse() {
                Ok(after) => asked.after = Some(after),
                Err(_) => return wrong(),
            },
            "limit" => match value.parse() {
                Ok(limit) => asked.limit = Some(limit),
                Err(_) => return wrong(),
            },
            _ => return wrong(),
        }
    }
    page::json(&gateway.inspect_sessions(&asked).await)
}

pub(crate) fn rooms(gateway: &Gateway, query: &str) -> Response<Body> {
    let mut asked = RoomQuery::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*name, value.parse()) {
            ("containing", _) => asked.containing = value.into_owned(),
            ("limit", Ok(limit)) => asked.limit = Some(limit),
            _ => return wrong(),
        }
    }
    page::json(&gateway.inspect_rooms(&asked))
}

fn wrong() -> Response<Body> {
    page::plain(StatusCode::BAD_REQUEST, WRONG)
}
