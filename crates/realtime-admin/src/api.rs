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

pub(crate) async fn rooms(gateway: &Gateway, query: &str) -> Response<Body> {
    let mut asked = RoomQuery::new();
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
    page::json(&gateway.inspect_rooms(&asked).await)
}

fn wrong() -> Response<Body> {
    page::plain(StatusCode::BAD_REQUEST, WRONG)
}
