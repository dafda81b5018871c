//! What is asked for over HTTP: it only reads.

use std::str::FromStr;

use http::{Response, StatusCode};
use realtime_gateway::{Body, Gateway, RoomQuery, SessionQuery};

use crate::page;

/// What was wrong with a query.
const WRONG: &str = "expected `containing`, a `limit` that is a number, and an `after` that was the `next` \
                     of an earlier page; got something else";

/// Which of them, from where on, and how many.
struct Asked<C> {
    containing: String,
    after: Option<C>,
    limit: Option<usize>,
}

impl<C: FromStr> Asked<C> {
    /// `None` where the query has anything else in it.
    fn read(query: &str) -> Option<Self> {
        let mut asked = Self {
            containing: String::new(),
            after: None,
            limit: None,
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "containing" => asked.containing = value.into_owned(),
                "after" => asked.after = Some(value.parse().ok()?),
                "limit" => asked.limit = Some(value.parse().ok()?),
                _ => return None,
            }
        }
        Some(asked)
    }
}

pub(crate) async fn sessions(gateway: &Gateway, query: &str) -> Response<Body> {
    let Some(asked) = Asked::read(query) else {
        return wrong();
    };
    let mut sessions = SessionQuery::new().containing(asked.containing);
    (sessions.after, sessions.limit) = (asked.after, asked.limit);
    page::json(&gateway.inspect_sessions(&sessions).await)
}

pub(crate) async fn rooms(gateway: &Gateway, query: &str) -> Response<Body> {
    let Some(asked) = Asked::read(query) else {
        return wrong();
    };
    let mut rooms = RoomQuery::new().containing(asked.containing);
    (rooms.after, rooms.limit) = (asked.after, asked.limit);
    page::json(&gateway.inspect_rooms(&rooms).await)
}

fn wrong() -> Response<Body> {
    page::plain(StatusCode::BAD_REQUEST, WRONG)
}
