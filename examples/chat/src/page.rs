//! The page and its parts, embedded in the program.

use axum::{
    Router,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Everything comes from this server, nothing is inline, and nobody may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The package of `crates/realtime-client-js`, as its build makes it.
const CLIENT: &str = include_str!("../../../crates/realtime-client-js/bundle/realtime-client.js");

macro_rules! part {
    ($name:literal, $kind:expr) => {
        (
            concat!("/", $name),
            $kind,
            include_str!(concat!("../page/", $name)),
        )
    };
}

const PARTS: &[(&str, &str, &str)] = &[
    part!("base.css", CSS),
    part!("conversation.css", CSS),
    part!("dock.css", CSS),
    part!("door.css", CSS),
    part!("house.css", CSS),
    part!("line.css", CSS),
    part!("people.css", CSS),
    part!("removal.css", CSS),
    part!("rooms.css", CSS),
    part!("chat.js", JS),
    part!("composer.js", JS),
    part!("conversation.js", JS),
    part!("door.js", JS),
    part!("drawer.js", JS),
    part!("element.js", JS),
    part!("faces.js", JS),
    part!("line.js", JS),
    part!("login.js", JS),
    part!("outbox.js", JS),
    part!("people.js", JS),
    part!("presence.js", JS),
    part!("removal.js", JS),
    part!("room.js", JS),
    part!("rooms.js", JS),
    part!("status.js", JS),
    part!("typing.js", JS),
    part!("icon.svg", SVG),
    ("/realtime-client.js", JS, CLIENT),
    ("/", HTML, include_str!("../page/index.html")),
];

pub(crate) fn router() -> Router {
    PARTS
        .iter()
        .fold(Router::new(), |router, (path, kind, text)| {
            router.route(path, get(async move || respond(kind, text)))
        })
}

fn respond(kind: &'static str, text: &'static str) -> impl IntoResponse {
    const NO_SNIFF: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::REFERRER_POLICY, "no-referrer"),
        NO_SNIFF,
    ];
    (headers, text)
}
