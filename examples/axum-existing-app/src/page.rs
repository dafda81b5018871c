//! The pages and their parts, embedded in the program.

use axum::{Router, http::header, response::IntoResponse, routing::get};

use crate::Shop;

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Everything comes from this server, nothing is inline, and nobody may frame a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The package of `crates/realtime-client-js`, as its build makes it.
const CLIENT: &str = // realtime
    include_str!("../../../crates/realtime-client-js/bundle/realtime-client.js"); // realtime

const PARTS: [(&str, &str, &str); 8] = [
    ("/", HTML, include_str!("../page/index.html")),
    ("/orders/{id}", HTML, include_str!("../page/order.html")),
    ("/index.js", JS, include_str!("../page/index.js")),
    ("/order.js", JS, include_str!("../page/order.js")),
    ("/shop.css", CSS, include_str!("../page/shop.css")),
    ("/shop.js", JS, include_str!("../page/shop.js")),
    ("/live.js", JS, include_str!("../page/live.js")), // realtime
    ("/realtime-client.js", JS, CLIENT),               // realtime
];

pub(crate) fn router() -> Router<Shop> {
    let parts = PARTS.into_iter();
    parts.fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(async move || respond(kind, text)))
    })
}

fn respond(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text)
}
