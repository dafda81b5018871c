//! The page and its parts, embedded in the program.

use axum::{Router, http::header, routing::get};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
/// Everything comes from this server, nothing is inline, and nobody may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const PARTS: [(&str, &str, &str); 8] = [
    ("/", HTML, include_str!("../page/index.html")),
    ("/page.css", CSS, include_str!("../page/page.css")),
    ("/card.css", CSS, include_str!("../page/card.css")),
    ("/app.js", JS, include_str!("../page/app.js")),
    ("/card.js", JS, include_str!("../page/card.js")),
    ("/connection.js", JS, include_str!("../page/connection.js")),
    ("/follower.js", JS, include_str!("../page/follower.js")),
    ("/store.js", JS, include_str!("../page/store.js")),
];

pub(crate) fn router() -> Router {
    PARTS
        .iter()
        .fold(Router::new(), |router, (path, kind, text)| {
            let headers = [
                (header::CONTENT_TYPE, *kind),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            router.route(path, get(async move || (headers, *text)))
        })
}
