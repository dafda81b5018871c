//! What is served: the page in one piece, the browser client, and JSON.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
};
use realtime_gateway::Body;
use serde::Serialize;
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/admin.css");
/// One module, in pieces that are read on their own.
const SCRIPT: &str = concat!(
    include_str!("../page/element.js"),
    include_str!("../page/line.js"),
    include_str!("../page/node.js"),
    include_str!("../page/sessions.js"),
    include_str!("../page/actions.js"),
    include_str!("../page/tap.js"),
    include_str!("../page/main.js"),
);
/// The package of `realtime-client-js`, as its build makes it.
const CLIENT: &str = include_str!("../page/realtime-client.js");

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The page, put together once. Style and script are in it, so that it works wherever it is mounted; its
/// policy allows these and no others.
pub(crate) struct Page {
    text: String,
    policy: HeaderValue,
}

impl Page {
    pub(crate) fn new() -> Self {
        let text = HTML
            .replace("/* style */", STYLE)
            .replace("/* script */", SCRIPT);
        let policy = format!(
            "default-src 'none'; script-src 'self' 'sha256-{}'; style-src 'sha256-{}'; img-src data:; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(SCRIPT),
            hash(STYLE),
        );
        let nothing = HeaderValue::from_static("default-src 'none'");
        Self {
            text,
            policy: HeaderValue::try_from(policy).unwrap_or(nothing),
        }
    }

    pub(crate) fn page(&self) -> Response<Body> {
        let text = self.text.clone().into_bytes();
        let mut response = answer(StatusCode::OK, "text/html; charset=utf-8", text.into());
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(COOP, HeaderValue::from_static("same-origin"));
        response
    }

    pub(crate) fn client(&self) -> Response<Body> {
        answer(
            StatusCode::OK,
            "text/javascript; charset=utf-8",
            CLIENT.into(),
        )
    }
}

fn hash(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text))
}

pub(crate) fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(text) => answer(StatusCode::OK, "application/json", text.into()),
        Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "what there is to say has no form in JSON",
        ),
    }
}

pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    answer(status, "text/plain; charset=utf-8", text.into())
}

pub(crate) fn nothing_there() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "there is nothing on this path")
}

pub(crate) fn unauthorized() -> Response<Body> {
    let mut response = plain(
        StatusCode::UNAUTHORIZED,
        "expected somebody who is signed in",
    );
    let bearer = HeaderValue::from_static("Bearer");
    response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    response
}

pub(crate) fn not_allowed() -> Response<Body> {
    let mut response = plain(
        StatusCode::METHOD_NOT_ALLOWED,
        "expected GET: what changes something comes over the WebSocket",
    );
    let allowed = HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(ALLOW, allowed);
    response
}

fn answer(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let mut say = |name, value| headers.insert(name, HeaderValue::from_static(value));
    say(CONTENT_TYPE, kind);
    say(CACHE_CONTROL, "no-store");
    say(REFERRER_POLICY, "no-referrer");
    say(X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(CORP, "same-origin");
    response
}
