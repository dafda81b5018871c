//! Tokens in upgrade requests, wherever they may stand: a token that is put somewhere properly is
//! found there and nowhere else, sources that differ are refused, and no error shows a token.
#![no_main]

use http::{HeaderName, HeaderValue, Request, request::Parts};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use realtime::auth::{AuthErrorKind, Credentials};

#[derive(Arbitrary, Debug)]
struct Input {
    looked_at: [bool; 4],
    token: Vec<u8>,
    proper: Vec<Place>,
    /// Values as they come.
    free: Vec<(Place, Vec<u8>)>,
    query: String,
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Query,
    Cookie,
    Subprotocol,
}

use Place::{Cookie, Header, Query, Subprotocol};

const PLACES: [Place; 4] = [Header, Query, Cookie, Subprotocol];

fn credentials(places: &[Place]) -> Credentials {
    let start = if places.contains(&Header) {
        Credentials::bearer()
    } else {
        Credentials::bearer().without_header()
    };
    places.iter().fold(start, |credentials, place| match place {
        Header => credentials,
        Query => credentials.from_query("token"),
        Cookie => credentials.from_cookie("session"),
        Subprotocol => credentials.from_subprotocol("bearer."),
    })
}

fn find(places: &[Place], request: &Parts) -> Result<Vec<String>, ()> {
    let credentials = credentials(places);
    let found = credentials.candidates(request);
    let required = credentials.require(request);
    match found {
        Ok(found) => {
            let tokens: Vec<_> = found.iter().map(|t| t.expose().to_owned()).collect();
            let first = required.ok().map(|token| token.expose().to_owned());
            assert_eq!(first.as_ref(), tokens.first());
            assert!(tokens.len() <= 4);
            let fits = |t: &String| (1..=8 * 1024).contains(&t.len());
            assert!(tokens.iter().all(fits));
            Ok(tokens)
        }
        Err(error) => {
            assert!(required.is_err());
            assert_eq!(error.kind(), AuthErrorKind::Unauthorized);
            assert!(!format!("{error:?}{error}").contains(SECRET));
            Err(())
        }
    }
}

/// What all places together must say, given what each of them says.
fn together(each: &[(Place, Result<Vec<String>, ()>)]) -> Result<Vec<String>, ()> {
    let (mut one, mut cookies) = (Vec::new(), Ok(Vec::new()));
    for (place, tokens) in each {
        if *place == Cookie {
            cookies.clone_from(tokens);
        } else {
            one.extend(tokens.clone()?);
        }
    }
    one.dedup();
    // Cookies that are malformed hide no token.
    let cookies = match one.is_empty() {
        true => return cookies,
        false => cookies.unwrap_or_default(),
    };
    match &one[..] {
        [token] if cookies.is_empty() || cookies.contains(token) => Ok(one),
        _ => Err(()),
    }
}

/// Stands in every token that is put somewhere properly.
const SECRET: &str = "s3cr3t";

fn header(place: Place) -> HeaderName {
    match place {
        Header => http::header::AUTHORIZATION,
        Cookie => http::header::COOKIE,
        Query | Subprotocol => http::header::SEC_WEBSOCKET_PROTOCOL,
    }
}

fuzz_target!(|input: Input| {
    let places = PLACES.into_iter().zip(input.looked_at);
    let places: Vec<_> = places
        .filter(|(_, on)| *on)
        .map(|(place, _)| place)
        .collect();
    // What may stand in all of the places without a quoting of its own.
    let fits =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*:@/?=%+#[]{}|".contains(byte);
    let token: String = input
        .token
        .iter()
        .filter(|byte| fits(byte))
        .map(|b| char::from(*b))
        .collect();
    let token = format!("{SECRET}{token}");

    let mut query = String::new();
    let mut headers = Vec::new();
    for place in &input.proper {
        match place {
            Header => headers.push((header(*place), format!("Bearer {token}"))),
            Cookie => headers.push((header(*place), format!("a=b; session={token}; c"))),
            Subprotocol => headers.push((header(*place), format!("realtime.json, bearer.{token}"))),
            Query => {
                let encoded: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
                query.push_str(&format!("a=b&token={encoded}&"));
            }
        }
    }
    let is_free = !input.free.is_empty() || !input.query.is_empty();
    query.push_str(&input.query);
    for (place, value) in &input.free {
        if *place == Query {
            query.push('&');
            query.push_str(&String::from_utf8_lossy(value));
        }
    }
    let Ok(request) = Request::get(format!("/ws?{query}")).body(()) else {
        return;
    };
    let mut request = request.into_parts().0;
    for (name, value) in headers {
        request
            .headers
            .append(name, HeaderValue::from_str(&value).expect("visible ASCII"));
    }
    for (place, value) in input.free.iter().filter(|(place, _)| *place != Query) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers.append(header(*place), value);
        }
    }

    let found = find(&places, &request);
    let each: Vec<_> = places
        .iter()
        .map(|place| (*place, find(&[*place], &request)))
        .collect();
    assert_eq!(found, together(&each));
    if !is_free {
        let is_there = input.proper.iter().any(|place| places.contains(place));
        let expected = is_there.then_some(token).into_iter().collect();
        assert_eq!(found, Ok(expected));
    }
});
